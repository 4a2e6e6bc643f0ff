//! The command: prints samples until the tap ends, or Ctrl-C.

use futures_util::StreamExt;
use tokio::signal::ctrl_c;

use super::Options;
use super::lines::{Line, Lines};
use crate::commands::admin_client::{Admin, AdminError, key, local_url};
use crate::config::Config;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::{print_error, try_print};

/// Prints the samples of a tap.
///
/// # Errors
/// The exit code and a sentence.
pub(crate) async fn run(config: &Config, options: &Options) -> Result<Exit, (Exit, String)> {
    let asked = async {
        let key = key(config, options.key_file.as_deref())?;
        let url = options.url.clone().unwrap_or_else(|| local_url(config));
        let admin = Admin::at(&url, &key)?;
        let answer = admin.get(&options.path()).await?;
        Ok((admin, answer))
    };
    let asked: Result<_, AdminError> = tokio::select! {
        asked = asked => asked,
        _ = ctrl_c() => return Ok(Exit::Ok),
    };
    let (admin, mut answer) = asked.map_err(|error| (error.exit(), error.to_string()))?;
    let lost = |why: String| (Exit::Unavailable, format!("{}: {why}", admin.url()));
    let mut lines = Lines::default();
    loop {
        let piece = tokio::select! {
            piece = answer.next() => piece,
            _ = ctrl_c() => return Ok(Exit::Ok),
        };
        let piece = piece.ok_or_else(|| lost("the node has ended the tap".to_owned()))?;
        let piece = piece.map_err(|error| lost(format!("the connection broke: {error}")))?;
        for line in lines.push(&piece).map_err(|error| lost(error.to_string()))? {
            match line {
                Line::Sample(sample) => {
                    if !try_print(&format!("{sample}\n")) {
                        return Ok(Exit::Ok);
                    }
                }
                Line::Dropped(dropped) => {
                    print_error(format_args!("{dropped} messages more than can be shown were left out"))
                }
                Line::End => return Ok(Exit::Ok),
                Line::Drain => return Err(lost("the node ends".to_owned())),
            }
        }
    }
}
