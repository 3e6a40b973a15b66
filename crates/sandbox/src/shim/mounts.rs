//! What the plugin sees of the file system.
//!
//! Everything that must stay visible below something that gets covered (the host's `/tmp`, a hidden
//! directory) is cloned as a detached mount first and attached again after; what lies deeper wins.
//! Mount points are made without following links, because the plugin may have written to the
//! directory that becomes its `/tmp` in an earlier run.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_change,
    move_mount, open_tree,
};

use crate::spec::{Isolated, Isolation};
use crate::sys::set_read_only;
use crate::wire::{Failure, Request, Step};

/// Where root could change the host even without a capability.
const KERNEL_KNOBS: &[&str] = &[
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
];

/// Secrets of the machine below what every program may read, which root's plugin could read.
const SECRETS: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/krb5.keytab",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
];
/// Where the keys are by which the machine is known to who signs in over SSH.
const SSH: &str = "/etc/ssh";

/// Mounts all of it, and notes in `isolated` what came of it.
pub(super) fn apply(request: &Request, isolated: &mut Isolated) -> Result<(), Failure> {
    let wanted = request.private_tmp.is_some() || !request.hidden.is_empty();
    if !isolated.mount_namespace {
        if wanted {
            isolated
                .missing
                .push("private /tmp and hidden paths: no mount namespace".into());
        }
        return Ok(());
    }
    let view = View::of(request)?;
    match view.mount(isolated) {
        Ok(()) => {
            isolated.private_tmp = request.private_tmp.is_some();
            isolated.hidden = !request.hidden.is_empty();
        }
        // Some hosts permit a user namespace and no mount in it.
        Err(failure) if permitted_not(&failure) && request.isolation == Isolation::BestEffort => {
            let reason = io::Error::from_raw_os_error(failure.errno);
            isolated.mount_namespace = false;
            isolated
                .missing
                .push(format!("private /tmp and hidden paths: {reason}"));
        }
        Err(failure) if permitted_not(&failure) => {
            let reason = io::Error::from_raw_os_error(failure.errno);
            let Step::Setup(what) = failure.step else {
                return Err(failure);
            };
            return Err(Failure {
                step: Step::Isolate(format!("{what}: {reason}")),
                ..failure
            });
        }
        Err(failure) => return Err(failure),
    }
    Ok(())
}

/// What is to be seen, found out before anything is covered.
struct View {
    tmp: PathBuf,
    private_tmp: Option<PathBuf>,
    /// In the order of the map: a directory comes before what is in it.
    places: BTreeMap<PathBuf, Place>,
}

enum Place {
    Hidden,
    Shown {
        source: PathBuf,
        directory: bool,
        writable: bool,
    },
}

impl Place {
    /// To be asked before anything is covered, the source among it.
    fn shown(source: PathBuf, writable: bool) -> Self {
        Self::Shown {
            directory: source.is_dir(),
            source,
            writable,
        }
    }
}

impl View {
    fn of(request: &Request) -> Result<Self, Failure> {
        let tmp = fs::canonicalize("/tmp").unwrap_or_else(|_| PathBuf::from("/tmp"));
        let private_tmp = match &request.private_tmp {
            Some(path) => Some(canonical(path)?),
            None => None,
        };
        let hidden: Vec<PathBuf> = request
            .hidden
            .iter()
            .map(PathBuf::from)
            .chain(secrets())
            .filter_map(|path| fs::canonicalize(path).ok())
            .collect();
        // A path that is hidden itself stays hidden.
        let covered = |path: &Path| {
            !hidden.iter().any(|hidden| path == hidden)
                && ((private_tmp.is_some() && path.starts_with(&tmp) && path != tmp)
                    || hidden.iter().any(|hidden| path.starts_with(hidden)))
        };

        let mut places = BTreeMap::new();
        for path in &hidden {
            places.insert(path.clone(), Place::Hidden);
        }
        let mut links = Vec::new();
        let readable = request.readable.iter().map(|path| (path, false));
        for (path, writable) in readable.chain(request.writable.iter().map(|path| (path, true))) {
            let source = canonical(path)?;
            if covered(&source) {
                places.insert(source.clone(), Place::shown(source.clone(), writable));
            }
            links.push((PathBuf::from(path), source, writable));
        }
        for path in request.implied.iter().chain([&request.cwd]) {
            if let Ok(source) = fs::canonicalize(path) {
                links.push((source.clone(), source.clone(), false));
                links.push((PathBuf::from(path), source, false));
            }
        }
        // A path through a link must lead there as well, unless the link itself is shown already.
        for (target, source, writable) in links {
            let nearest = target.ancestors().find_map(|ancestor| places.get(ancestor));
            if covered(&target) && !matches!(nearest, Some(Place::Shown { .. })) {
                places.insert(target, Place::shown(source, writable));
            }
        }
        Ok(Self {
            tmp,
            private_tmp,
            places,
        })
    }

    fn mount(&self, isolated: &mut Isolated) -> Result<(), Failure> {
        // What the host mounts later appears here; what is mounted here never appears there.
        mount_change(
            "/",
            MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
        )
        .map_err(|error| failure("leave the host's mounts", "/", error))?;

        let private_tmp = match &self.private_tmp {
            Some(path) => Some(clone_tree(path)?),
            None => None,
        };
        let mut shown = BTreeMap::new();
        for (target, place) in &self.places {
            if let Place::Shown {
                source, writable, ..
            } = place
            {
                let tree = clone_tree(source)?;
                if !writable {
                    set_read_only(&tree, true)
                        .map_err(|error| failure_io("mount read-only", source, &error))?;
                }
                shown.insert(target, tree);
            }
        }

        let own_proc = mount(
            "proc",
            "/proc",
            "proc",
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            None,
        );
        isolated.own_proc = own_proc.is_ok();
        if let Err(error) = own_proc {
            isolated
                .missing
                .push(format!("own /proc: {}", io::Error::from(error)));
        }
        protect_kernel(isolated);

        if let Some(tree) = private_tmp {
            let tmp = open_path(&self.tmp)?;
            attach(&tree, &tmp, &self.tmp)?;
        }
        let mut empty = Vec::new();
        for (target, place) in &self.places {
            match (place, shown.get(target)) {
                (Place::Hidden, _) => empty.extend(hide(target)?),
                (Place::Shown { directory, .. }, Some(tree)) => {
                    let point = mount_point(target, *directory)?;
                    attach(tree, &point, target)?;
                }
                (Place::Shown { .. }, None) => {}
            }
        }
        // Only now: what is shown inside needed its mount points.
        for mount in &empty {
            set_read_only(mount, false)
                .map_err(|error| failure_io("make an empty mount read-only", "", &error))?;
        }
        Ok(())
    }
}

/// Files and directories that are there and that nobody but root should read.
fn secrets() -> impl Iterator<Item = PathBuf> {
    let is_key = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"ssh_host_"))
            && path.extension().is_none()
    };
    let keys = fs::read_dir(SSH).into_iter().flatten().flatten();
    let keys = keys.map(|entry| entry.path()).filter(is_key);
    SECRETS.iter().map(PathBuf::from).chain(keys)
}

/// Root's plugin is root to the files of the kernel, its own cgroup among them.
fn protect_kernel(isolated: &mut Isolated) {
    let protect = |path: &Path| -> io::Result<()> {
        let tree = open_tree(
            CWD,
            path,
            OpenTreeFlags::OPEN_TREE_CLONE
                | OpenTreeFlags::OPEN_TREE_CLOEXEC
                | OpenTreeFlags::AT_RECURSIVE,
        )?;
        set_read_only(&tree, true)?;
        move_mount(
            &tree,
            "",
            CWD,
            path,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )?;
        Ok(())
    };
    let knobs = KERNEL_KNOBS.iter().filter(|_| isolated.own_proc);
    let mut missing = Vec::new();
    for path in knobs
        .chain(&["/sys"])
        .map(Path::new)
        .filter(|path| path.exists())
    {
        if let Err(error) = protect(path) {
            missing.push(format!("read-only {}: {error}", path.display()));
        }
    }
    isolated.missing.extend(missing);
    let shared_memory = Path::new("/dev/shm");
    if shared_memory.is_dir() {
        let mounted = tmpfs("1777").and_then(|empty| {
            Ok(move_mount(
                &empty,
                "",
                CWD,
                shared_memory,
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )?)
        });
        if let Err(error) = mounted {
            isolated.missing.push(format!("own /dev/shm: {error}"));
        }
    }
}

fn canonical(path: &OsString) -> Result<PathBuf, Failure> {
    fs::canonicalize(path).map_err(|error| Failure::new(Step::Path, path, &error))
}

fn clone_tree(path: &Path) -> Result<OwnedFd, Failure> {
    open_tree(
        CWD,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE,
    )
    .map_err(|error| failure("bind", path, error))
}

fn attach(tree: &OwnedFd, point: &OwnedFd, path: &Path) -> Result<(), Failure> {
    move_mount(
        tree,
        "",
        point,
        "",
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
    )
    .map_err(|error| failure("mount", path, error))
}

/// Covers `path`, and returns the mount if it still has to become read-only. What an enclosing
/// cover already made invisible is left alone.
fn hide(path: &Path) -> Result<Option<OwnedFd>, Failure> {
    let point = match open_path(path) {
        Ok(point) => point,
        Err(failure) if failure.errno == libc::ENOENT => return Ok(None),
        Err(failure) => return Err(failure),
    };
    if path.is_dir() {
        let empty =
            tmpfs("0755").map_err(|error| failure_io("make an empty mount", path, &error))?;
        attach(&empty, &point, path)?;
        return Ok(Some(empty));
    }
    attach(&clone_tree(Path::new("/dev/null"))?, &point, path)?;
    Ok(None)
}

fn tmpfs(mode: &str) -> io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "mode", mode)?;
    fsconfig_create(&context)?;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
    )?)
}

/// Opens an absolute path that must have no link in it.
fn open_path(path: &Path) -> Result<OwnedFd, Failure> {
    openat2(
        CWD,
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|error| failure("open", path, error))
}

/// Opens an absolute path that must have no link in it, and makes what of it is missing.
fn mount_point(path: &Path, directory: bool) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let open = |parent: &OwnedFd, name: &OsStr| {
        openat2(
            parent,
            name,
            flags,
            Mode::empty(),
            ResolveFlags::NO_SYMLINKS,
        )
    };
    let make = |parent: &OwnedFd, name: &OsStr, directory: bool| {
        if directory {
            return mkdirat(parent, name, Mode::from_raw_mode(0o755));
        }
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(parent, name, flags, Mode::from_raw_mode(0o600)).map(drop)
    };
    let mut at = open_path(Path::new("/"))?;
    let mut components = path
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .peekable();
    while let Some(name) = components.next() {
        let directory = directory || components.peek().is_some();
        at = match open(&at, name) {
            Err(Errno::NOENT) => make(&at, name, directory).and_then(|()| open(&at, name)),
            opened => opened,
        }
        .map_err(|error| failure("make a mount point", path, error))?;
    }
    Ok(at)
}

fn permitted_not(failure: &Failure) -> bool {
    matches!(failure.step, Step::Setup(_)) && [libc::EPERM, libc::EACCES].contains(&failure.errno)
}

fn failure(what: &str, path: impl AsRef<OsStr>, error: Errno) -> Failure {
    failure_io(what, path, &error.into())
}

fn failure_io(what: &str, path: impl AsRef<OsStr>, error: &io::Error) -> Failure {
    Failure::new(Step::Setup(what.to_owned()), path.as_ref(), error)
}
