//! Starting plugin processes with isolation and limits
