//! Child processes that never outlive the process that started them.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::procfs::is_stopped;

/// Finds a program: in `PATH`, then in `also`.
///
/// # Panics
/// When it is missing; the message explains how to install it.
pub(crate) fn find_program(name: &str, also: impl IntoIterator<Item = PathBuf>) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // Debian keeps daemons where a plain user's PATH does not lead.
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/bin")])
        .chain(also)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!("`{name}` is not installed; run: apt-get install nats-server postgresql pgbouncer influxdb mosquitto mosquitto-clients victoria-metrics")
        })
}

/// A running child: killed and reaped on drop, and killed by its [`Leash`] should this process end first.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    status: Option<ExitStatus>,
    _leash: Leash,
}

impl Process {
    /// Starts `command` with its output appended to `log`.
    pub(crate) fn spawn(name: &'static str, command: Command, log: &Path, leash: LeashOf<'_>) -> Self {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|e| panic!("cannot open {}: {e}", log.display()));
        let errors = output.try_clone().expect("a second handle of the log");
        Self::spawn_to(name, command, output.into(), errors.into(), leash)
    }

    /// Starts `command` with its outputs into pipes whose readers are gone.
    pub(crate) fn spawn_unheard(name: &'static str, command: Command, leash: LeashOf<'_>) -> Self {
        Self::spawn_to(name, command, closed_pipe(), closed_pipe(), leash)
    }

    fn spawn_to(name: &'static str, mut command: Command, output: Stdio, errors: Stdio, leash: LeashOf<'_>) -> Self {
        // A process group of its own: a Ctrl-C at the terminal reaches us, and we stop the children in order.
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {name}: {e}"));
        let _leash = Leash::new(child.id(), leash);
        Self { name, child, status: None, _leash }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal; a child that has exited already gets none.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.try_wait().is_none() {
            send(self.child.id(), signal);
        }
    }

    /// As [`freeze`]; a child that has exited already is no mistake.
    pub(crate) fn freeze(&mut self) {
        if self.try_wait().is_none() {
            freeze(self.child.id());
        }
    }

    /// The exit status, once it has one.
    pub(crate) fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap_or_else(|e| panic!("cannot wait for {}: {e}", self.name));
        }
        self.status
    }

    /// Blocks until the child has exited.
    ///
    /// # Panics
    /// When it is still there after `deadline`.
    pub(crate) fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.try_wait() {
                return status;
            }
            assert!(start.elapsed() < deadline, "{} is still running after {deadline:?}", self.name);
            std::thread::sleep(Duration::from_millis(10)); // polls: std has no wait with a deadline
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.try_wait().is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A pipe without a reader: writing to it fails.
pub(crate) fn closed_pipe() -> Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    writer.into()
}

/// Waits until a child listens on a loopback port.
///
/// # Panics
/// When it exits instead, or takes half a minute; a second is usual.
pub(crate) fn wait_listening(process: &mut Process, port: u16, log: &Path) {
    let (start, address) = (Instant::now(), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        let gone = process.try_wait();
        assert!(
            gone.is_none() && start.elapsed() < Duration::from_secs(30),
            "{} does not listen on port {port} ({gone:?}); its log:\n{}",
            process.name,
            std::fs::read_to_string(log).unwrap_or_default(),
        );
        std::thread::sleep(Duration::from_millis(10)); // polls: the server does not announce that it is ready
    }
}

/// Sends `signal` to a process that we started; one that is gone already is no mistake.
pub(crate) fn send(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// Freezes a process (SIGSTOP), and returns when none of its threads runs any more: that takes a moment on a busy machine.
///
/// # Panics
/// When one still runs after ten seconds.
pub(crate) fn freeze(pid: u32) {
    send(pid, Signal::STOP);
    let start = Instant::now();
    while !is_stopped(pid) {
        assert!(start.elapsed() < Duration::from_secs(10), "process {pid} does not stop");
        std::thread::sleep(Duration::from_millis(1)); // polls: a stop is announced to nobody but the parent, and not by thread
    }
}

/// What a [`Leash`] does when this process is gone.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeashOf<'a> {
    /// The first signal to the child (a name as `kill -s` knows it); SIGKILL follows.
    pub signal: &'a str,
    /// A temporary directory to be removed with it.
    pub remove: Option<&'a Path>,
}

/// Ties a child to the life of this process, however that ends.
///
/// A test harness ends with `exit`, which drops no statics, and a developer's Ctrl-C drops nothing at all. So a small shell
/// holds the read end of a pipe whose only write end is ours: when the pipe closes, we are gone, and it cleans up.
#[derive(Debug)]
struct Leash(Child);

impl Leash {
    fn new(pid: u32, of: LeashOf<'_>) -> Self {
        const SCRIPT: &str = r#"
            trap '' HUP INT TERM
            cat >/dev/null
            kill -s "$1" "$2" 2>/dev/null
            n=0
            while kill -0 "$2" 2>/dev/null && [ $n -lt 50 ]; do sleep 0.1; n=$((n + 1)); done
            kill -s KILL "$2" 2>/dev/null
            [ -z "$3" ] || rm -rf -- "$3"
        "#;
        let shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "leash", of.signal, &pid.to_string()])
            .arg(of.remove.unwrap_or(Path::new("")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start /bin/sh: {e}"));
        Self(shell)
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // The child was stopped in order: no one may act on its number any more. The shell's `cat` ends with the pipe.
        let _ = self.0.kill();
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
