//! A deadline that costs nothing where the work is done in time.
//!
//! A timer of the runtime's own is set and taken away with every use, which is dear beside an exchange of
//! a few microseconds. An alarm leaves its timer where it is and moves it only when it goes off too
//! early: once for each span of time rather than once for each use.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// See the module. One use at a time.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

impl Alarm {
    /// What `work` comes to, or `None` when `deadline` passes before it is done.
    pub(crate) async fn until<T>(
        &mut self,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.run(Some(deadline), Duration::ZERO, work).await
    }

    /// What `work` comes to, or `None` when it is not done `limit` after it first had to wait.
    pub(crate) async fn within<T>(
        &mut self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        self.run(None, limit, work).await
    }

    async fn run<T>(
        &mut self,
        mut deadline: Option<Instant>,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(output) = work.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            let deadline = *deadline.get_or_insert_with(|| Instant::now() + limit);
            let sleep = self
                .0
                .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.deadline() > deadline {
                sleep.as_mut().reset(deadline);
            }
            while sleep.as_mut().poll(cx).is_ready() {
                if Instant::now() >= deadline {
                    return Poll::Ready(None);
                }
                sleep.as_mut().reset(deadline);
            }
            Poll::Pending
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn host_31_each_use_has_its_own_deadline() {
        let mut alarm = Alarm::default();
        let began = Instant::now();
        let after = |millis| began + Duration::from_millis(millis);
        assert_eq!(alarm.until(after(100), pending::<()>()).await, None);
        assert_eq!(began.elapsed(), Duration::from_millis(100));
        // Set by a use that was done in time; the next has a later deadline, the one after an earlier.
        let work = tokio::time::sleep(Duration::from_millis(50));
        assert_eq!(alarm.until(after(1000), work).await, Some(()));
        assert_eq!(alarm.until(after(5000), pending::<()>()).await, None);
        assert_eq!(began.elapsed(), Duration::from_secs(5));
        let work = tokio::time::sleep(Duration::from_millis(1));
        assert_eq!(alarm.until(after(60_000), work).await, Some(()));
        assert_eq!(alarm.until(after(6000), pending::<()>()).await, None);
        assert_eq!(began.elapsed(), Duration::from_secs(6));
        assert_eq!(
            alarm.until(began, ready(1)).await,
            Some(1),
            "work comes first"
        );
    }
}
