//! `ingest-node provision-tenants`: gives every tenant its database, before its first point meets none.

use clap::Args;

use crate::app::preflight;
use crate::config::Config;
use crate::postgres::start;
use crate::runtime::error_chain::error_chain;
use crate::runtime::exit::Exit;
use crate::runtime::terminal::print;
use crate::sink::influx::{Backend, Provisioned};

/// Which tenants.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    /// Only this tenant of device_registry; may be given several times [default: every one].
    #[arg(long = "tenant", value_name = "TENANT")]
    pub tenants: Vec<String>,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
}

/// Provisions tenant by tenant and goes on after an error: `OK`, `EXISTS`, `WARN` or `ERR` for each, on standard output.
///
/// # Errors
/// The exit code and a sentence, where it could not begin.
pub(crate) async fn run(config: &Config, options: &Options) -> Result<Exit, (Exit, String)> {
    let backend = Backend::new(&config.influx).map_err(|why| (Exit::Config, why.to_string()))?;
    let registered = registered(config).await?;
    let tenants = if options.tenants.is_empty() { registered.clone() } else { options.tenants.clone() };
    let mut failed = 0;
    for tenant in &tenants {
        if !registered.contains(tenant) {
            failed += 1;
            print(&format!("ERR     {tenant}: no device of this tenant is in device_registry; is the name right?\n"));
            continue;
        }
        let database = backend.database(tenant);
        let outcome = match (options.dry_run, backend.has(tenant)) {
            (true, Some(true)) => Provisioned::Exists,
            (true, _) => {
                print(&format!("WOULD   {tenant}  {database}\n"));
                continue;
            }
            (false, _) => backend.provision(tenant).await,
        };
        failed += usize::from(matches!(outcome, Provisioned::NoRoom(_) | Provisioned::Failed(_)));
        print(&line(tenant, &database, &outcome));
    }
    print(&format!("{} tenants, {failed} failed\n", tenants.len()));
    Ok(if failed == 0 { Exit::Ok } else { Exit::Incomplete })
}

fn line(tenant: &str, database: &str, outcome: &Provisioned) -> String {
    match outcome {
        Provisioned::Made => format!("OK      {tenant}  {database}\n"),
        Provisioned::Exists => format!("EXISTS  {tenant}  {database}\n"),
        Provisioned::Warned(why) => format!("WARN    {tenant}  {database}: {why}\n"),
        Provisioned::NoRoom(why) | Provisioned::Failed(why) => format!("ERR     {tenant}  {database}: {why}\n"),
    }
}

async fn registered(config: &Config) -> Result<Vec<String>, (Exit, String)> {
    let opened = start::open(&config.postgres).await;
    let (_, database) = opened.map_err(|error| (error.exit(), error_chain(&error)))?;
    let tenants = preflight::tenants(&database).await;
    tenants.map_err(|error| (Exit::Unavailable, format!("PostgreSQL: {}", error_chain(&error))))
}
