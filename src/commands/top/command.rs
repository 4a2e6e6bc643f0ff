//! The command: asks the nodes again and again, and shows what they say.

use std::io::{self, IsTerminal};
use std::time::Duration;

use thiserror::Error;
use time::OffsetDateTime;
use tokio::signal::ctrl_c;
use tokio::time::{Instant, sleep, sleep_until};

use super::Options;
use super::keys::View;
use super::plain;
use super::poll::{Replica, poll};
use super::rows::{Sort, panels};
use super::terminal::Terminal;
use crate::commands::admin_client::{Admin, AdminError, key, local_url};
use crate::config::Config;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::try_print;

/// How soon a key is answered.
const KEYS_EVERY: Duration = Duration::from_millis(50);

/// Why nothing is shown.
#[derive(Debug, Error)]
pub(in crate::commands) enum TopError {
    /// Key or URL.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// None of the nodes can be reached at the start.
    #[error("none of the nodes can be reached: {0}")]
    NoNode(String, Exit),
    /// The terminal.
    #[error("the terminal: {0}")]
    Terminal(#[from] io::Error),
}

impl TopError {
    /// How the process ends with it.
    pub(in crate::commands) fn exit(&self) -> Exit {
        match self {
            Self::Admin(error) => error.exit(),
            Self::NoNode(_, exit) => *exit,
            Self::Terminal(_) => Exit::Unavailable,
        }
    }
}

/// Shows the nodes until a key, a signal, or the end of `--once`.
///
/// # Errors
/// See [`TopError`].
pub(in crate::commands) async fn run(config: &Config, options: &Options) -> Result<Exit, TopError> {
    let key = key(config, options.key_file.as_deref())?;
    let urls = if options.url.is_empty() { vec![local_url(config)] } else { options.url.clone() };
    let admins: Vec<Admin> = urls.iter().map(|url| Admin::at(url, &key)).collect::<Result<_, _>>()?;
    tokio::select! {
        shown = show(&admins, options) => shown.map(|()| Exit::Ok),
        _ = ctrl_c() => Ok(Exit::Ok),
    }
}

async fn show(admins: &[Admin], options: &Options) -> Result<(), TopError> {
    let replicas = poll(admins).await;
    if let Some(error) = none_of(&replicas) {
        return Err(error);
    }
    if options.once || options.plain || !io::stdout().is_terminal() {
        lines(admins, options, replicas).await;
        return Ok(());
    }
    screen(admins, options, replicas).await.map_err(TopError::Terminal)
}

/// Why there is nothing to show.
fn none_of(replicas: &[Replica]) -> Option<TopError> {
    let failures: Vec<_> = replicas.iter().filter_map(|replica| replica.answer.as_ref().err()).collect();
    if failures.len() < replicas.len() {
        return None;
    }
    let why: Vec<&str> = failures.iter().map(|failure| failure.why.as_str()).collect();
    let exit = if failures.iter().all(|failure| failure.is_mistake) { Exit::Config } else { Exit::Unavailable };
    Some(TopError::NoNode(why.join("; "), exit))
}

/// A block for each look, while somebody reads them.
async fn lines(admins: &[Admin], options: &Options, mut replicas: Vec<Replica>) {
    loop {
        let block = plain::block(&panels(&replicas, Sort::Order), &now());
        if !try_print(&block) || options.once {
            return;
        }
        sleep(options.interval()).await;
        replicas = poll(admins).await;
    }
}

async fn screen(admins: &[Admin], options: &Options, mut replicas: Vec<Replica>) -> io::Result<()> {
    let mut terminal = Terminal::open()?;
    let mut view = View::default();
    let mut next = Instant::now() + options.interval();
    loop {
        let panels = panels(&replicas, view.sort);
        view.keep_within(panels.len(), panels.iter().map(|panel| panel.actors.len()).max().unwrap_or_default());
        terminal.show(&panels, view)?;
        while !terminal.read_keys(&mut view)? {
            sleep_until((Instant::now() + KEYS_EVERY).min(next)).await;
            if Instant::now() >= next {
                break;
            }
        }
        if view.has_quit {
            return Ok(());
        }
        if Instant::now() >= next {
            next = Instant::now() + options.interval();
            if !view.is_paused {
                replicas = poll(admins).await;
            }
        }
    }
}

fn now() -> String {
    let now = OffsetDateTime::now_utc();
    format!("{:02}:{:02}:{:02}Z", now.hour(), now.minute(), now.second())
}
