//! The limit of open files: connections, files of points and threads' pipes all count against it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Below so many a node may fail at any moment: at rest it has about 60 open, probes and tenants come on top.
const NEEDED: u64 = 256;

/// Raises the soft limit to the hard one, where it can.
pub(crate) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What the system refuses stays as it is; `shortage` says so where that is too little.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// A sentence for operators, where too few files may be open.
pub(crate) fn shortage() -> Option<String> {
    describe(getrlimit(Resource::Nofile).current)
}

fn describe(limit: Option<u64>) -> Option<String> {
    let limit = limit.filter(|limit| *limit < NEEDED)?;
    Some(format!(
        "only {limit} files may be open at once; the node needs {NEEDED}: raise the hard limit (ulimit -Hn, \
         LimitNOFILE, --ulimit nofile)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_below_the_need_is_said_with_both_numbers() {
        assert!(describe(Some(48)).is_some_and(|why| why.starts_with("only 48 files") && why.contains("needs 256")));
        assert_eq!(describe(Some(256)), None);
        assert_eq!(describe(None), None);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        raise_limit();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert_eq!(current, maximum);
    }
}
