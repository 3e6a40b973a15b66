//! Ways into the document, written as pointers only when something is wrong there.

use plugyard_model::json::pointer_join;

/// A place in the document, as the way to it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Path<'a> {
    Root,
    Key(&'a Path<'a>, &'a str),
    Index(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(super) fn key(&'a self, key: &'a str) -> Self {
        Path::Key(self, key)
    }

    pub(super) fn index(&'a self, index: usize) -> Self {
        Path::Index(self, index)
    }

    /// The JSON pointer.
    pub(super) fn pointer(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Key(parent, key) => pointer_join(&parent.pointer(), key),
            Path::Index(parent, index) => pointer_join(&parent.pointer(), &index.to_string()),
        }
    }

    /// The pointer of a member of a field.
    pub(super) fn field(key: &str, member: &str) -> String {
        Path::Root.key("fields").key(key).key(member).pointer()
    }

    /// The pointer of the value of an option.
    pub(super) fn option(key: &str, index: usize) -> String {
        let fields = Path::Root.key("fields");
        let field = fields.key(key);
        let options = field.key("options");
        options.index(index).key("value").pointer()
    }

    /// The pointer of a preset value.
    pub(super) fn value(key: &str) -> String {
        Path::Root.key("values").key(key).pointer()
    }
}
