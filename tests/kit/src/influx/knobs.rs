//! Settings of a running stand-in that a test can change.

use std::time::Instant;

use super::InfluxStub;
use super::control::Failure;

impl InfluxStub {
    /// Answers the next `times` writes with `status` and stores nothing of them.
    pub fn fail_next(&self, times: usize, status: u16) {
        self.shared.knobs().failures = (times, Failure { status, ..Failure::default() });
    }

    /// The same, with this body, as from a proxy or a broken server.
    pub fn answer_next(&self, times: usize, status: u16, body: &str) {
        self.shared.knobs().failures = (times, Failure { status, body: Some(body.to_owned()), ..Failure::default() });
    }

    /// The same, with `Retry-After` of so many seconds.
    pub fn fail_next_for(&self, times: usize, status: u16, retry_after_secs: u64) {
        self.shared.knobs().failures =
            (times, Failure { status, retry_after: Some(retry_after_secs), ..Failure::default() });
    }

    /// Wants this token from now on.
    pub fn set_token(&self, token: &str) {
        self.shared.knobs().token = Some(token.to_owned());
    }

    /// Holds so many databases from now on.
    pub fn set_database_limit(&self, limit: usize) {
        self.shared.store().limit = Some(limit);
    }

    /// Holds so many tables, of all databases together, from now on.
    pub fn set_table_limit(&self, limit: usize) {
        self.shared.store().max_tables = limit;
    }

    /// Holds so many columns of one table from now on.
    pub fn set_column_limit(&self, limit: usize) {
        self.shared.store().max_columns = limit;
    }

    /// Holds so many fields of one family (`family::field`) from now on.
    pub fn set_family_limit(&self, limit: usize) {
        self.shared.store().max_family = limit;
    }

    /// Answers what is durable only so often from now on, all at once: `--wal-flush-interval`.
    pub fn set_flush_interval(&self, interval: std::time::Duration) {
        self.shared.knobs().flush_interval = interval;
    }

    /// Whether it supports SQL; InfluxDB 2 and others do not.
    pub fn set_answers_queries(&self, answers: bool) {
        self.shared.knobs().answers_queries = answers;
    }

    /// An operator drops a database; the next write creates it again.
    pub fn drop_database(&self, database: &str) -> bool {
        self.shared.store().remove(database)
    }

    /// Takes no larger body than this from now on.
    pub fn set_max_body(&self, bytes: usize) {
        self.shared.knobs().max_body = Some(bytes);
    }

    /// Refuses every line that holds `text`, for `reason`. Bodies must have no blank lines and no comments then.
    pub fn refuse_lines(&self, text: &str, reason: &str) {
        self.shared.store().refused.push((text.to_owned(), reason.to_owned()));
    }

    /// Refuses every body that holds `text` as a whole without naming the line.
    pub fn refuse_unnamed(&self, text: &str) {
        self.shared.knobs().unreadable = Some(text.to_owned());
    }

    /// The times of the writes to a database, failed ones included.
    pub fn write_times(&self, database: &str) -> Vec<Instant> {
        self.shared.writes().iter().filter(|(name, _)| name == database).map(|(_, at)| *at).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::http::{Response, post};
    use crate::influx::Counts;

    async fn write(stub: &InfluxStub, database: &str, body: &str) -> Response {
        let target = format!("/api/v3/write_lp?db={database}&precision=ns");
        post(&stub.address(), &target, &["Authorization: Bearer right"], body.as_bytes()).await.unwrap()
    }

    #[tokio::test]
    async fn lines_are_refused_by_name_or_with_their_whole_body() {
        let stub = InfluxStub::start();
        stub.refuse_lines("d=b", "not this one");
        let answer = write(&stub, "d", "t,d=a v=1 1\nt,d=b v=1 1\nt,d=c v=1 1").await;
        let error: Json = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, &error["data"][0]["line_number"]), (400, &Json::from(2)));
        assert_eq!(error["data"][0]["error_message"], "not this one");
        stub.refuse_unnamed("d=e");
        let answer = write(&stub, "d", "t,d=d v=1 1\nt,d=e v=1 1").await;
        assert_eq!((answer.status, answer.body.as_str()), (400, r#"{"error":"line protocol parsing error"}"#));
        assert_eq!(stub.counts(), Counts { requests: 2, lines_written: 2, lines_refused: 1, ..Counts::default() });
    }

    #[tokio::test]
    async fn limits_and_the_token_change_while_it_runs() {
        let stub = InfluxStub::builder().database_limit(1).token("other").start();
        assert_eq!(write(&stub, "a", "t v=1 1").await.status, 401);
        stub.set_token("right");
        stub.set_table_limit(1);
        assert_eq!(write(&stub, "a", "t v=1 1").await.status, 204);
        assert_eq!(write(&stub, "a", "u v=1 1").await.status, 422);
        stub.set_table_limit(2);
        assert_eq!(write(&stub, "a", "u v=1 1").await.status, 204);
        assert_eq!(write(&stub, "b", "t v=1 1").await.status, 422);
        stub.set_database_limit(2);
        stub.set_table_limit(3);
        assert_eq!(write(&stub, "b", "t v=1 1").await.status, 204);
        stub.set_max_body(10);
        assert_eq!(write(&stub, "b", "t v=1 1\nt v=2 2").await.status, 413);
        assert_eq!((stub.write_times("b").len(), stub.write_times("a").len()), (3, 3));
    }
}
