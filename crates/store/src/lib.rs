//! Database, migrations and object store
