//! How fast messages come in by each way in, on real servers of its own.
//!
//! usage: `ways NODE` (the path of the program; `make bench-ways` builds and passes it)
//!
//! | case | |
//! |---|---|
//! | `http-single` | one message a request, `WAYS_CONNECTIONS` keep-alive connections, each sends its next request after the answer |
//! | `http-batch` | the same with 100 messages a request |
//! | `http-steady` | single messages at 2000/s, sent when they are due: the time from then to the answer |
//! | `mqtt-backlog` | `WAYS_MESSAGES` messages wait in Mosquitto for the session of a gateway that starts |
//! | `mqtt-steady` | 1000/s through Mosquitto: the time until NATS has a message, beside that until a subscriber of Mosquitto has it |
//! | `nats-mqtt` | `WAYS_MESSAGES` messages wait in nats-server's own MQTT stream; beside the same ones in TELEMETRY |
//!
//! CPU is that of the program under test, user and system; memory its peak.
//!
//! | environment | default | |
//! |---|---|---|
//! | `WAYS_CASES` | all | cases, by name |
//! | `WAYS_SECONDS` | 10 | how long requests are sent, after a warm-up of two seconds |
//! | `WAYS_CONNECTIONS` | 32 | connections; a tenth of them with batches |
//! | `WAYS_MESSAGES` | 200000 | messages that wait |
//! | `WAYS_DEVICES` | 1000 | devices that send |
#![forbid(unsafe_code)]

mod http;
mod lane;
mod mqtt;
mod servers;

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use self::servers::Servers;

/// No run takes so long.
const DEADLINE: Duration = Duration::from_secs(600);

const CASES: [&str; 6] = ["http-single", "http-batch", "http-steady", "mqtt-backlog", "mqtt-steady", "nats-mqtt"];

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [program] = &arguments[..] else { panic!("usage: ways NODE") };
    let wanted = std::env::var("WAYS_CASES").unwrap_or_else(|_| CASES.join(","));
    let wanted: Vec<&str> = wanted.split(',').map(str::trim).collect();
    for name in &wanted {
        assert!(CASES.contains(name), "WAYS_CASES: there is no case {name:?}, but there are {CASES:?}");
    }
    let servers = Servers::start(Path::new(program), setting("WAYS_DEVICES", 1_000)).await;
    for case in CASES.into_iter().filter(|case| wanted.contains(case)) {
        let line = match case {
            "http-single" => http::saturated(&servers, 1).await,
            "http-batch" => http::saturated(&servers, 100).await,
            "http-steady" => http::steady(&servers, 2_000).await,
            "mqtt-backlog" => mqtt::backlog(&servers).await,
            "mqtt-steady" => mqtt::steady(&servers, 1_000).await,
            _ => lane::compare(&servers).await,
        };
        println!("{case}: {line}");
    }
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// The value below which this part of them lies; they get sorted.
fn percentile(values: &mut [Duration], part: f64) -> f64 {
    values.sort_unstable();
    let index = ((values.len() as f64 * part) as usize).min(values.len().saturating_sub(1));
    values.get(index).map_or(f64::NAN, |value| value.as_secs_f64() * 1e3)
}
