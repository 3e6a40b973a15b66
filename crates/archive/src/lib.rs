//! Reading and writing plugin packages that may be hostile
