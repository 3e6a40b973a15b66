//! Windows with the clock in hand.

use expect_test::{Expect, expect};
use plugyard_symbol::{Row, Value};
use proptest::prelude::*;

use super::*;
use crate::run::watermark::Watermark;

/// 2026-11-21 08:00:00 UTC: a natural time of every unit up to the hour.
const NOON: i64 = 1_795_248_000_000;

fn row(number: i64) -> Arc<Member> {
    Arc::new(Member {
        row: Row::from_iter([("n".into(), Value::Int(number))]),
        meta: None,
        bytes: 10,
        at: NOON + number,
    })
}

fn numbers(fired: &Fired) -> Vec<i64> {
    fired
        .rows
        .iter()
        .map(|member| match member.row.get("n") {
            Some(Value::Int(number)) => *number,
            other => panic!("{other:?}"),
        })
        .collect()
}

fn of(window: Window) -> Buffer {
    Buffer::new(window, NOON, TimeZone::UTC)
}

/// Plays rows at these times (from [`NOON`], each is its own number), and time up to `until`; what is given away.
fn play(window: Window, rows: &[i64], until: i64) -> Vec<(Vec<i64>, i64, i64)> {
    let mut buffer = of(window);
    let mut all = Vec::new();
    let mut note = |fired: Fired| {
        assert_eq!(fired.span.trigger, fired.span.end);
        all.push((
            numbers(&fired),
            fired.span.start - NOON,
            fired.span.end - NOON,
        ));
    };
    for time in rows.iter().copied() {
        while let Some(fired) = buffer.tick(NOON + time) {
            note(fired);
        }
        let (fired, dropped) = buffer.push(row(time), true);
        assert_eq!(dropped, 0);
        fired.into_iter().for_each(&mut note);
    }
    while let Some(due) = buffer.due().filter(|due| *due <= NOON + until) {
        while let Some(fired) = buffer.tick(due) {
            note(fired);
        }
    }
    all
}

#[track_caller]
fn check(window: Window, rows: &[i64], until: i64, expect: Expect) {
    let lines: Vec<_> = play(window, rows, until)
        .into_iter()
        .map(|(rows, start, end)| format!("{start}..{end} {rows:?}"))
        .collect();
    expect.assert_eq(&lines.join("\n"));
}

const fn seconds(length: i64) -> Window {
    Window::Tumbling {
        unit: Unit::Second,
        length,
    }
}

#[test]
fn a_tumbling_window_ends_at_natural_times_and_shows_empty_ones_too() {
    check(
        seconds(10),
        &[3000, 9999, 10_000, 12_000],
        30_000,
        expect![[r"
            0..10000 [3000, 9999]
            10000..20000 [10000, 12000]
            20000..30000 []"]],
    );
}

#[test]
fn a_hopping_window_holds_what_belongs_to_several() {
    check(
        Window::Hopping {
            unit: Unit::Second,
            length: 10,
            hop: 5,
        },
        &[1000, 6000, 11_000],
        20_000,
        expect![[r"
            -5000..5000 [1000]
            0..10000 [1000, 6000]
            5000..15000 [6000, 11000]
            10000..20000 [11000]"]],
    );
}

#[test]
fn a_sliding_window_looks_back_from_each_row() {
    check(
        Window::Sliding {
            unit: Unit::Millisecond,
            length: 10,
            delay: 0,
        },
        &[0, 5, 10, 30],
        100,
        expect![[r"
            -10..0 [0]
            -5..5 [0, 5]
            0..10 [5, 10]
            20..30 [30]"]],
    );
}

#[test]
fn a_sliding_window_with_delay_looks_forward_too() {
    check(
        Window::Sliding {
            unit: Unit::Millisecond,
            length: 10,
            delay: 5,
        },
        &[0, 4, 12],
        100,
        expect![[r"
            -10..5 [0, 4]
            -6..9 [0, 4]
            2..17 [4, 12]"]],
    );
}

#[test]
fn a_session_ends_when_rows_stay_away_or_when_it_is_too_long() {
    let window = Window::Session {
        unit: Unit::Second,
        length: 10,
        timeout: 3,
    };
    check(
        window,
        &[1000, 3000, 9000],
        60_000,
        expect![[r"
            1000..6000 [1000, 3000]
            9000..12000 [9000]"]],
    );
    check(
        window,
        &[
            1000, 3500, 6000, 8500, 11_000, 13_500, 16_000, 18_500, 21_000,
        ],
        60_000,
        expect![[r"
            1000..20000 [1000, 3500, 6000, 8500, 11000, 13500, 16000, 18500]
            21000..24000 [21000]"]],
    );
}

#[test]
fn a_count_window_waits_until_there_are_enough() {
    check(
        Window::Count {
            length: 3,
            interval: 3,
        },
        &[1, 2, 3, 4, 5, 6, 7],
        100,
        expect![[r"
            1..3 [1, 2, 3]
            4..6 [4, 5, 6]"]],
    );
    check(
        Window::Count {
            length: 5,
            interval: 2,
        },
        &[1, 2, 3, 4, 5, 6, 7, 8],
        100,
        expect![[r"
            2..6 [2, 3, 4, 5, 6]
            4..8 [4, 5, 6, 7, 8]"]],
    );
}

#[test]
fn windows_align_as_their_units_do() {
    let zone = TimeZone::get("Asia/Shanghai").unwrap_or(TimeZone::fixed(jiff::tz::offset(8)));
    let at = |now: &str, unit, length| {
        let now: Timestamp = now.parse().unwrap();
        let next = aligned_after(now.as_millisecond(), unit, length, &zone);
        Timestamp::from_millisecond(next).unwrap().to_string()
    };
    assert_eq!(
        at("2026-11-21T08:00:03Z", Unit::Second, 10),
        "2026-11-21T08:00:10Z"
    );
    assert_eq!(
        at("2026-11-21T08:00:10Z", Unit::Second, 10),
        "2026-11-21T08:00:20Z"
    );
    assert_eq!(
        at("2026-11-21T08:00:30Z", Unit::Second, 7),
        "2026-11-21T08:00:35Z"
    );
    assert_eq!(
        at("2026-11-21T08:07:30Z", Unit::Minute, 5),
        "2026-11-21T08:10:00Z"
    );
    assert_eq!(
        at("2026-11-21T08:07:30.250Z", Unit::Millisecond, 100),
        "2026-11-21T08:07:30.3Z"
    );
    // Four hours from local midnight (16:00 UTC), and the end of the local day.
    assert_eq!(
        at("2026-11-21T08:00:00Z", Unit::Hour, 5),
        "2026-11-21T12:00:00Z"
    );
    assert_eq!(
        at("2026-11-21T08:00:00Z", Unit::Day, 1),
        "2026-11-21T16:00:00Z"
    );
    assert_eq!(
        at("2026-11-21T17:00:00Z", Unit::Day, 1),
        "2026-11-22T16:00:00Z"
    );
}

#[test]
fn a_day_has_the_hours_that_the_calendar_gives_it() {
    let Ok(zone) = TimeZone::get("Europe/Berlin") else {
        println!("skipped: no time zones on this machine");
        return;
    };
    // 25 hours, from midnight in summer time to midnight in winter time.
    let start: Timestamp = "2026-10-24T22:00:00Z".parse().unwrap();
    let end = aligned_after(start.as_millisecond(), Unit::Day, 1, &zone);
    assert_eq!(end - start.as_millisecond(), 25 * 3_600_000);
    assert_eq!(later(end, Unit::Day, -1, &zone), start.as_millisecond());
}

#[test]
fn nothing_is_made_up_for_when_nobody_was_there() {
    let mut buffer = of(seconds(1));
    assert!(buffer.push(row(1), true).0.is_none());
    let much_later = NOON + 3_600_500;
    assert_eq!(numbers(&buffer.tick(much_later).unwrap()), [1]);
    assert!(buffer.tick(much_later).is_none());
    assert_eq!(buffer.due(), Some(NOON + 3_601_000));
}

#[test]
fn a_full_window_drops_its_oldest_rows_and_says_how_many() {
    let window = seconds(10);
    let mut few = Buffer::bounded(window, Some(NOON), TimeZone::UTC, (3, usize::MAX));
    let dropped: Vec<_> = (0..5).map(|n| few.push(row(n), true).1).collect();
    assert_eq!(dropped, [0, 0, 0, 1, 1]);
    assert_eq!(numbers(&few.tick(NOON + 10_000).unwrap()), [2, 3, 4]);
    let each = 10 + OVERHEAD;
    let mut small = Buffer::bounded(window, Some(NOON), TimeZone::UTC, (100, 2 * each));
    let dropped: Vec<_> = (0..4).map(|n| small.push(row(n), true).1).collect();
    assert_eq!(dropped, [0, 0, 1, 1]);
    assert_eq!(small.bytes, 2 * each);
    // One above the limit is taken alone.
    let large = Arc::new(Member {
        bytes: 10 * each,
        ..Member::clone(&row(9))
    });
    assert_eq!(small.push(large, true).1, 2);
    assert_eq!(numbers(&small.tick(NOON + 10_000).unwrap()), [9]);
    assert_eq!(small.bytes, 0);
}

/// Rows at times that only go up.
fn times() -> impl Strategy<Value = Vec<i64>> {
    prop::collection::vec(0_i64..4000, 0..60).prop_map(|steps| {
        steps
            .into_iter()
            .scan(0, |time, step| {
                *time += step;
                Some(*time)
            })
            .collect()
    })
}

proptest! {
    #[test]
    fn tumbling_windows_part_the_rows(times in times(), length in 1_i64..30) {
        let end = times.last().copied().unwrap_or(0) + 60_000;
        let fired = play(seconds(length), &times, end);
        let all: Vec<i64> = fired.iter().flat_map(|(rows, ..)| rows.clone()).collect();
        prop_assert_eq!(&all, &times);
        for (rows, start, end) in &fired {
            prop_assert_eq!(end - start, length * 1000);
            prop_assert!(rows.iter().all(|at| start <= at && at < end));
        }
        for pair in fired.windows(2) {
            prop_assert!(pair[0].2 <= pair[1].1);
        }
    }

    #[test]
    fn hopping_by_the_length_is_tumbling(times in times(), length in 1_i64..30) {
        let hopping = Window::Hopping { unit: Unit::Second, length, hop: length };
        let end = times.last().copied().unwrap_or(0) + 60_000;
        prop_assert_eq!(play(hopping, &times, end), play(seconds(length), &times, end));
    }

    #[test]
    fn a_hopping_window_holds_each_row_as_often_as_it_overlaps(times in times(), hop in 1_i64..10, often in 1_i64..5) {
        let window = Window::Hopping { unit: Unit::Second, length: hop * often, hop };
        let end = times.last().copied().unwrap_or(0) + 600_000;
        let fired = play(window, &times, end);
        for time in &times {
            let count = fired.iter().flat_map(|(rows, ..)| rows).filter(|at| *at == time).count();
            let same = times.iter().filter(|at| *at == time).count();
            prop_assert_eq!(count, same * usize::try_from(often).unwrap());
        }
    }

    #[test]
    fn sessions_part_the_rows(times in times(), length in 1_i64..30, timeout in 1_i64..10) {
        let window = Window::Session { unit: Unit::Second, length, timeout };
        let end = times.last().copied().unwrap_or(0) + 60_000;
        let fired = play(window, &times, end);
        let all: Vec<i64> = fired.iter().flat_map(|(rows, ..)| rows.clone()).collect();
        prop_assert_eq!(all, times);
        for (rows, ..) in &fired {
            for pair in rows.windows(2) {
                prop_assert!(pair[1] - pair[0] <= timeout * 1000);
            }
        }
    }
}

/// Plays rows by their own times as they come, and then a row a day later that lets everything end; what is given
/// away, the rows of each window by their numbers.
fn play_events(window: Window, rows: &[(i64, i64)], tolerance: i64) -> Vec<(Vec<i64>, i64, i64)> {
    let mut buffer = Buffer::by_event(window, TimeZone::UTC);
    let mut watermark = Watermark::new(std::time::Duration::from_millis(tolerance.unsigned_abs()));
    let mut all = Vec::new();
    let mut note = |fired: Fired| {
        assert!(!fired.rows.is_empty());
        let mut rows = numbers(&fired);
        rows.sort_unstable();
        all.push((rows, fired.span.start - NOON, fired.span.end - NOON));
    };
    let end = rows.iter().map(|(at, _)| *at).max().unwrap_or(0) + 86_400_000;
    for (at, number) in rows.iter().copied().chain([(end, -1)]) {
        let member = Member {
            at: NOON + at,
            ..Member::clone(&row(number))
        };
        watermark.take(NOON + at, 1, Arc::new(member)).unwrap();
        while let Some((at, row)) = watermark.next() {
            while let Some(fired) = buffer.tick(at) {
                note(fired);
            }
            let (fired, dropped) = buffer.push(row, true);
            assert_eq!(dropped, 0);
            fired.into_iter().for_each(&mut note);
        }
        while let Some(fired) = watermark.time().and_then(|time| buffer.tick(time)) {
            note(fired);
        }
    }
    // What the last row is in is not to be compared: it may end at once or not.
    all.retain(|(rows, ..)| !rows.contains(&-1));
    all
}

#[track_caller]
fn check_events(window: Window, rows: &[i64], tolerance: i64, expect: Expect) {
    let rows: Vec<_> = rows.iter().map(|at| (*at, *at)).collect();
    let lines: Vec<_> = play_events(window, &rows, tolerance)
        .into_iter()
        .map(|(rows, start, end)| format!("{start}..{end} {rows:?}"))
        .collect();
    expect.assert_eq(&lines.join("\n"));
}

#[test]
fn by_event_time_windows_are_of_the_rows_times_and_empty_ones_are_not_given() {
    let rows = [1500, 900, 100, 61_000, 1999, 62_000, 60_999];
    check_events(
        seconds(1),
        &rows,
        60_000,
        expect![[r"
            0..1000 [100, 900]
            1000..2000 [1500, 1999]
            60000..61000 [60999]
            61000..62000 [61000]
            62000..63000 [62000]"]],
    );
    check_events(
        Window::Hopping {
            unit: Unit::Second,
            length: 2,
            hop: 1,
        },
        &rows,
        60_000,
        expect![[r"
            -1000..1000 [100, 900]
            0..2000 [100, 900, 1500, 1999]
            1000..3000 [1500, 1999]
            59000..61000 [60999]
            60000..62000 [60999, 61000]
            61000..63000 [61000, 62000]
            62000..64000 [62000]"]],
    );
    check_events(
        Window::Session {
            unit: Unit::Second,
            length: 30,
            timeout: 1,
        },
        &rows,
        60_000,
        expect![[r"
            100..2999 [100, 900, 1500, 1999]
            60999..62000 [60999, 61000]
            62000..63000 [62000]"]],
    );
    check_events(
        Window::Count {
            length: 3,
            interval: 2,
        },
        &rows,
        60_000,
        expect![[r"
            900..1999 [900, 1500, 1999]
            1999..61000 [1999, 60999, 61000]"]],
    );
}

#[test]
fn a_sliding_window_by_event_time_waits_for_rows_of_the_same_time() {
    let sliding = |delay| Window::Sliding {
        unit: Unit::Millisecond,
        length: 10,
        delay,
    };
    check_events(
        sliding(0),
        &[5, 5, 14, 15],
        0,
        expect![[r"
            -5..5 [5, 5]
            -5..5 [5, 5]
            4..14 [5, 5, 14]
            5..15 [14, 15]"]],
    );
    check_events(
        sliding(3),
        &[14, 5, 8],
        20,
        expect![[r"
            -5..8 [5, 8]
            -2..11 [5, 8]
            4..17 [5, 8, 14]"]],
    );
}

/// Any window of a few seconds.
fn any_window() -> impl Strategy<Value = Window> {
    let unit = Unit::Second;
    prop_oneof![
        (1_i64..10).prop_map(seconds),
        (1_i64..10, 1_i64..10).prop_map(move |(length, hop)| Window::Hopping { unit, length, hop }),
        (1_i64..10, 0_i64..3).prop_map(move |(length, delay)| Window::Sliding {
            unit,
            length,
            delay
        }),
        (1_i64..10, 1_i64..5).prop_map(move |(length, timeout)| Window::Session {
            unit,
            length,
            timeout
        }),
        (1_usize..6, 1_usize..6).prop_map(|(a, b)| Window::Count {
            length: a.max(b),
            interval: a.min(b)
        }),
    ]
}

proptest! {
    #[test]
    fn rows_out_of_order_within_the_tolerance_make_the_windows_of_sorted_ones(
        window in any_window(),
        tolerance in 0_i64..20_000,
        rows in prop::collection::btree_map(0_i64..200_000, 0.0_f64..=1.0, 0..80),
    ) {
        let sorted: Vec<_> = rows.keys().map(|at| (*at, *at)).collect();
        // Each comes up to the tolerance later than it should.
        #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small")]
        let late = |part: f64| (part * tolerance as f64) as i64;
        let mut shuffled: Vec<_> = rows.iter().map(|(at, part)| (at + late(*part), (*at, *at))).collect();
        shuffled.sort_unstable();
        let shuffled: Vec<_> = shuffled.into_iter().map(|(_, row)| row).collect();
        let expected = play_events(window, &sorted, 0);
        prop_assert_eq!(&play_events(window, &sorted, tolerance), &expected);
        prop_assert_eq!(&play_events(window, &shuffled, tolerance), &expected);
    }

    #[test]
    fn of_rows_with_the_same_times_it_does_not_matter_which_came_first(
        window in any_window().prop_filter("counts", |it| !matches!(it, Window::Count { .. })),
        rows in prop::collection::vec(0_i64..20, 0..60),
        order in prop::collection::vec(any::<u32>(), 60),
    ) {
        let sorted: Vec<_> = {
            let mut times: Vec<_> = rows.iter().map(|at| at * 500).collect();
            times.sort_unstable();
            times.into_iter().zip(0..).collect()
        };
        let mut shuffled: Vec<_> = order.into_iter().zip(sorted.iter().copied()).collect();
        shuffled.sort_unstable();
        let shuffled: Vec<_> = shuffled.into_iter().map(|(_, row)| row).collect();
        prop_assert_eq!(play_events(window, &shuffled, 10_000), play_events(window, &sorted, 10_000));
    }
}
