//! Plugins written for the tests, against the public SDK.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

/// eKuiper's own example: source `pyjson`, sink `print` (acks everything), function `revert`.
const PYSAM: &str = r#"
from ekuiper import plugin, PluginConfig, Source, Sink, Function
import time

class PyJson(Source):
    def configure(self, datasource, conf):
        pass
    def open(self, ctx):
        while True:
            ctx.emit({"name": "pyjson", "value": 2021}, None)
            time.sleep(0.2)
    def close(self, ctx):
        pass

class Print(Sink):
    def configure(self, conf):
        pass
    def open(self, ctx):
        pass
    def collect(self, ctx, data):
        print("receive: ", data)
        ctx.ack_ok()
    def close(self, ctx):
        pass

class Revert(Function):
    def validate(self, args):
        return "" if len(args) == 1 else "require one parameter"
    def exec(self, args, ctx):
        return args[0][::-1]
    def is_aggregate(self):
        return False

if __name__ == '__main__':
    plugin.start(PluginConfig("pysam",
        {"pyjson": lambda: PyJson()}, {"print": lambda: Print()}, {"revert": lambda: Revert()}))
"#;

/// Writes the directory of the plugin `pysam`.
pub(crate) fn pysam(directory: &Path) -> PathBuf {
    python(
        directory,
        "pysam",
        PYSAM,
        &["pyjson"],
        &["print"],
        &["revert"],
    )
}

/// Writes the directory of a Python plugin.
pub(crate) fn python(
    directory: &Path,
    name: &str,
    program: &str,
    sources: &[&str],
    sinks: &[&str],
    functions: &[&str],
) -> PathBuf {
    let root = directory.join(name);
    for folder in ["sources", "sinks", "functions"] {
        fs::create_dir_all(root.join(folder)).expect("a directory");
    }
    let about = json!({
        "trial": false,
        "author": {"name": "", "email": "", "company": "", "website": ""},
        "helpUrl": {"en_US": "", "zh_CN": ""},
        "description": {"en_US": "", "zh_CN": ""},
    });
    let manifest = json!({
        "version": "v1.0.0",
        "language": "python",
        "executable": format!("{name}.py"),
        "sources": sources,
        "sinks": sinks,
        "functions": functions,
    });
    write(&root.join(format!("{name}.json")), &manifest.to_string());
    write(&root.join(format!("{name}.py")), program.trim_start());
    for source in sources {
        write(&root.join(format!("sources/{source}.yaml")), "default:\n");
        let meta = json!({"about": about, "libs": [], "properties": {"default": []}});
        write(
            &root.join(format!("sources/{source}.json")),
            &meta.to_string(),
        );
    }
    for sink in sinks {
        let meta = json!({"about": about, "libs": [], "properties": []});
        write(&root.join(format!("sinks/{sink}.json")), &meta.to_string());
    }
    for function in functions {
        let meta = json!({"about": about, "name": function, "functions": [{"name": function, "args": []}]});
        write(
            &root.join(format!("functions/{function}.json")),
            &meta.to_string(),
        );
    }
    root
}

/// A plugin whose program is `program` and that claims to have a function `f`.
pub(crate) fn only_function(directory: &Path, name: &str, program: &str) -> PathBuf {
    python(directory, name, program, &[], &[], &[&format!("{name}_f")])
}

/// Zips a directory the way users do: directory entries present, everything deflated.
pub(crate) fn zip(directory: &Path, to: &Path) -> PathBuf {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;

    use zip::write::SimpleFileOptions;

    fn walk(root: &Path, at: &Path, zip: &mut zip::ZipWriter<fs::File>) {
        let mut entries: Vec<_> = fs::read_dir(at)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        entries.sort();
        for path in entries {
            let name = path
                .strip_prefix(root)
                .expect("below")
                .to_str()
                .expect("UTF-8")
                .to_owned();
            let mode = path.metadata().expect("a file").permissions().mode();
            let options = SimpleFileOptions::default().unix_permissions(mode);
            if path.is_dir() {
                zip.add_directory(name, options).expect("a zip");
                walk(root, &path, zip);
            } else {
                zip.start_file(name, options).expect("a zip");
                zip.write_all(&fs::read(&path).expect("a file"))
                    .expect("a zip");
            }
        }
    }
    let mut writer = zip::ZipWriter::new(fs::File::create(to).expect("a file"));
    walk(directory, directory, &mut writer);
    writer.finish().expect("a zip");
    to.to_owned()
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
}
