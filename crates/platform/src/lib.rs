//! What all kinds of plugin share: packages, installations, operations, accounts
