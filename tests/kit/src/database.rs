//! One database of a cluster, with queries for tests.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

/// A database. One of a temporary cluster goes with the last handle to it, others stay.
#[derive(Clone, Debug)]
pub struct Database {
    name: String,
    url: String,
    _dropped_with: Option<Arc<DropDatabase>>,
}

/// Drops a database, with its open connections. A test binary creates some hundred of them, with thousands of files
/// each.
#[derive(Debug)]
pub(crate) struct DropDatabase {
    pub dropdb: PathBuf,
    pub admin_url: String,
    pub name: String,
}

impl Drop for DropDatabase {
    fn drop(&mut self) {
        // A server that has stopped has taken the database along.
        let _ = Command::new(&self.dropdb)
            .args(["--force", "--if-exists", "--maintenance-db", &self.admin_url, &self.name])
            // A frozen server would never answer.
            .env("PGCONNECT_TIMEOUT", "5")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

impl Database {
    /// A database that exists already.
    pub fn new(name: &str, url: String) -> Self {
        Self { name: name.to_owned(), url, _dropped_with: None }
    }

    pub(crate) fn dropped_with(self, guard: Option<DropDatabase>) -> Self {
        Self { _dropped_with: guard.map(Arc::new), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, as `DATABASE_URL` takes it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection.
    ///
    /// # Errors
    /// When the server is unreachable.
    pub async fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await?;
        // Ends with the client or with the server; the client reports the error.
        tokio::spawn(connection);
        Ok(client)
    }

    /// A connection.
    ///
    /// # Panics
    /// When the server is unreachable.
    pub async fn connect(&self) -> Client {
        self.try_connect().await.unwrap_or_else(|e| panic!("cannot connect to {}: {e:?}", self.url))
    }

    /// The rows of one query, over a connection of its own.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn query(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Vec<Row> {
        self.connect().await.query(sql, parameters).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"))
    }

    /// Runs statements without a result.
    ///
    /// # Panics
    /// When one fails.
    pub async fn execute(&self, sql: &str) {
        self.connect().await.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
    }

    /// `SELECT count(*) FROM {from}`.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn count(&self, from: &str) -> u64 {
        let rows = self.query(&format!("SELECT count(*) FROM {from}"), &[]).await;
        rows[0].get::<_, i64>(0) as u64
    }

    /// How many rows of any table of this database hold `text` in any column, as text or as bytes; the tables' names with
    /// their counts, without the zeros. This is how tests look for secrets that must not be stored.
    ///
    /// # Panics
    /// When a query fails.
    pub async fn occurrences_of(&self, text: &str) -> Vec<(String, u64)> {
        let client = self.connect().await;
        let tables = "SELECT quote_ident(table_name) FROM information_schema.tables
                      WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY 1";
        let tables = client.query(tables, &[]).await.unwrap_or_else(|e| panic!("cannot list the tables: {e:?}"));
        let mut found = Vec::new();
        for table in tables {
            let table: String = table.get(0);
            let sql = format!(
                "SELECT count(*) FROM ONLY {table} t
                 WHERE position($1 IN t::text) > 0 OR position(encode(convert_to($1, 'UTF8'), 'hex') IN t::text) > 0"
            );
            let rows = client.query_one(&sql, &[&text]).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            match rows.get::<_, i64>(0) as u64 {
                0 => {}
                rows => found.push((table, rows)),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use crate::Postgres;

    #[tokio::test]
    async fn a_secret_is_found_in_text_json_and_bytes() {
        let database = Postgres::shared().create_database().await;
        database
            .execute(
                "CREATE TABLE a (x text, y jsonb, z bytea);
                 INSERT INTO a VALUES ('tok-1', null, null), (null, '{\"k\": [\"tok-1\"]}', null), (null, null, 'a tok-1 b');
                 CREATE TABLE b (x text); INSERT INTO b VALUES ('tok-2');",
            )
            .await;
        assert_eq!(database.occurrences_of("tok-1").await, [("a".to_owned(), 3)]);
    }
}
