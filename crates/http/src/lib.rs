//! What every HTTP route of Plugyard shares: principal, rights, problems, events
