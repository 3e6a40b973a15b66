//! Exact decimal numbers: comparison without rounding and without allocation, divisibility.

use std::cmp::Ordering;

use num_bigint::BigInt;

use crate::value::trim;

/// Exponents that a number to be measured may have; Laravel refuses others.
const EXPONENTS: std::ops::RangeInclusive<i64> = -1000..=1000;

/// Digits that a number may have before its divisibility is not looked at any more.
const DIGITS: i64 = 200_000;

/// A decimal number as it is written, borrowed from its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal<'t> {
    negative: bool,
    whole: &'t [u8],
    fraction: &'t [u8],
    exponent: i64,
}

impl<'t> Decimal<'t> {
    /// Reads `[+-]? digits? .? digits? ([eE][+-]?digits)?` with at least one digit before the
    /// exponent.
    pub(crate) fn parse(text: &'t str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (negative, bytes) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, bytes),
        };
        let (whole, rest) = digits(bytes);
        let (fraction, rest) = match rest {
            [b'.', rest @ ..] => digits(rest),
            _ => (&rest[..0], rest),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        Some(Self {
            negative,
            whole,
            fraction,
            exponent,
        })
    }

    /// As [`parse`](Self::parse), of a value that is measured: trimmed, and with an exponent in
    /// bounds.
    pub(crate) fn measured(text: &'t str) -> Option<Self> {
        Self::parse(trim(text)).filter(|it| EXPONENTS.contains(&it.exponent))
    }

    /// All digits, without those zeros that stand first.
    fn significant(&self) -> impl Iterator<Item = u8> + Clone + '_ {
        self.whole
            .iter()
            .chain(self.fraction)
            .copied()
            .skip_while(|digit| *digit == b'0')
    }

    /// Whether it is zero.
    pub(crate) fn is_zero(&self) -> bool {
        self.significant().next().is_none()
    }

    /// How many places before the point its first digit stands; only of numbers that are not zero.
    fn magnitude(&self) -> i64 {
        let zeros = self
            .whole
            .iter()
            .chain(self.fraction)
            .take_while(|digit| **digit == b'0')
            .count();
        count(self.whole.len()) - count(zeros) + self.exponent
    }

    /// Compares exactly.
    pub(crate) fn compare(&self, other: &Decimal<'_>) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return sign(!other.negative),
            (false, true) => return sign(self.negative),
            (false, false) => {}
        }
        if self.negative != other.negative {
            return sign(self.negative);
        }
        let absolute = self.magnitude().cmp(&other.magnitude()).then_with(|| {
            let (mut ours, mut theirs) = (self.significant(), other.significant());
            loop {
                let (a, b) = (ours.next(), theirs.next());
                if a.is_none() && b.is_none() {
                    return Ordering::Equal;
                }
                let order = a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0'));
                if order != Ordering::Equal {
                    return order;
                }
            }
        });
        if self.negative {
            absolute.reverse()
        } else {
            absolute
        }
    }

    /// Whether it is a multiple of another number. Numbers of more than 200,000 digits are none.
    pub(crate) fn is_multiple_of(&self, divisor: &Decimal<'_>) -> bool {
        if divisor.is_zero() {
            return false;
        }
        if self.is_zero() {
            return true;
        }
        let scale = self.scale().max(divisor.scale()).max(0);
        match (self.scaled(scale), divisor.scaled(scale)) {
            (Some(number), Some(divisor)) => number % divisor == BigInt::ZERO,
            _ => false,
        }
    }

    /// Digits after the point when it is written without an exponent.
    fn scale(&self) -> i64 {
        count(self.fraction.len()) - self.exponent
    }

    /// The number times ten to a power that makes it whole.
    fn scaled(&self, scale: i64) -> Option<BigInt> {
        let zeros = scale - self.scale();
        let length = count(self.whole.len() + self.fraction.len());
        if zeros < 0 || zeros + length > DIGITS {
            return None;
        }
        let mut text = Vec::with_capacity(self.whole.len() + self.fraction.len());
        text.extend_from_slice(self.whole);
        text.extend_from_slice(self.fraction);
        text.resize(text.len() + usize::try_from(zeros).ok()?, b'0');
        BigInt::parse_bytes(&text, 10)
    }
}

/// What a size is compared with: a decimal, or a fraction as Laravel's library for numbers reads it.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    text: Box<str>,
    small: Option<i64>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Decimal,
    /// `numerator/denominator`, with the place of the stroke.
    Fraction(usize),
    /// No number at all: every comparison fails.
    None,
}

impl Bound {
    pub(crate) fn new(parameter: &str) -> Self {
        let text = trim(parameter);
        let kind = if Decimal::parse(text).is_some() {
            Kind::Decimal
        } else {
            fraction(text).map_or(Kind::None, Kind::Fraction)
        };
        Self {
            small: text.parse().ok(),
            text: text.into(),
            kind,
        }
    }

    /// Whether it is a number in plain decimal form.
    pub(crate) fn is_plain(&self) -> bool {
        self.kind == Kind::Decimal && !self.text.contains(['e', 'E'])
    }

    /// How it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// How a whole number compares with it; `None` when it is no number.
    pub(crate) fn order_of_integer(&self, size: i64) -> Option<Ordering> {
        if let Some(small) = self.small {
            return Some(size.cmp(&small));
        }
        self.order_of(&Decimal::parse(&size.to_string())?)
    }

    /// How a number compares with it; `None` when it is no number.
    pub(crate) fn order_of(&self, size: &Decimal<'_>) -> Option<Ordering> {
        match self.kind {
            Kind::None => None,
            Kind::Decimal => Some(size.compare(&Decimal::parse(&self.text)?)),
            Kind::Fraction(stroke) => {
                let numerator = Decimal::parse(&self.text[..stroke])?;
                let denominator = BigInt::parse_bytes(&self.text.as_bytes()[stroke + 1..], 10)?;
                let scale = size.scale().max(0);
                let digits = size.scaled(scale)?;
                let digits = if size.negative { -digits } else { digits };
                let whole = numerator.scaled(scale)?;
                let whole = if numerator.negative { -whole } else { whole };
                Some((digits * denominator).cmp(&whole))
            }
        }
    }

    /// As a decimal, unless it is a fraction or no number.
    pub(crate) fn decimal(&self) -> Option<Decimal<'_>> {
        Decimal::parse(&self.text)
    }
}

/// The place of the stroke of `[+-]?digits/digits`, unless it divides by zero.
fn fraction(text: &str) -> Option<usize> {
    let stroke = text.find('/')?;
    let numerator = text[..stroke].trim_start_matches(['+', '-']);
    let denominator = &text[stroke + 1..];
    let all_digits = |it: &str| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit());
    (stroke - numerator.len() <= 1
        && all_digits(numerator)
        && all_digits(denominator)
        && denominator.bytes().any(|digit| digit != b'0'))
    .then_some(stroke)
}

fn digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    bytes.split_at(length)
}

/// An exponent; one that leaves 32 bits is held at that bound.
fn exponent(bytes: &[u8]) -> Option<i64> {
    let (negative, bytes) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    let (number, rest) = digits(bytes);
    if number.is_empty() || !rest.is_empty() {
        return None;
    }
    let value = number.iter().fold(0_i64, |sum, digit| {
        (sum * 10 + i64::from(digit - b'0')).min(i64::from(i32::MAX))
    });
    Some(if negative { -value } else { value })
}

fn sign(less: bool) -> Ordering {
    if less {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: &str, b: &str) -> Ordering {
        Decimal::parse(a)
            .unwrap()
            .compare(&Decimal::parse(b).unwrap())
    }

    #[test]
    fn comparison_is_exact() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, expected) in [
            ("3", "3.0", Equal),
            ("3", "2.9999999999999999999999", Greater),
            ("-1", "1", Less),
            ("-2", "-1", Less),
            ("1e3", "1000", Equal),
            ("1e1000", "1e999", Greater),
            ("0.30000000000000001", "0.3", Greater),
            ("-0", "0", Equal),
            ("00012", "12", Equal),
            (".5", "0.50", Equal),
            ("5.", "5", Equal),
            ("0", "-1", Greater),
            ("0", "1e-500", Less),
        ] {
            assert_eq!(order(a, b), expected, "{a} {b}");
            assert_eq!(order(b, a), expected.reverse(), "{b} {a}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        let multiple = |a: &str, b: &str| {
            Decimal::parse(a)
                .unwrap()
                .is_multiple_of(&Decimal::parse(b).unwrap())
        };
        assert!(multiple("0.3", "0.1"));
        assert!(multiple("-9", "3"));
        assert!(multiple("9", "-3"));
        assert!(multiple("1e3", "0.5"));
        assert!(multiple("0", "7"));
        assert!(!multiple("1", "0.3"));
        assert!(!multiple("0", "0"));
        assert!(!multiple("1e999999999", "7"));
    }

    #[test]
    fn a_bound_may_be_a_fraction() {
        let third = Bound::new(" 1/3 ");
        assert_eq!(
            third.order_of(&Decimal::parse("0.3333").unwrap()),
            Some(Ordering::Less)
        );
        assert_eq!(third.order_of_integer(1), Some(Ordering::Greater));
        assert_eq!(
            Bound::new("-4/2").order_of_integer(-2),
            Some(Ordering::Equal)
        );
        assert_eq!(Bound::new("1/0").order_of_integer(1), None);
        assert_eq!(Bound::new("3kb").order_of_integer(1), None);
    }
}
