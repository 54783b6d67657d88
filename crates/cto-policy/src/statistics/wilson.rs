//! The Wilson score interval of a share.

use cto_schema::Interval;

/// The standard normal quantile of 0.975.
const Z: f64 = 1.959_963_984_540_054;

/// Returns the 95 % score interval of `successes` out of `n` (E. B. Wilson, "Probable inference, the law of succession,
/// and statistical inference", JASA 22, 1927), without continuity correction; `None` when `n` is 0.
///
/// It never leaves 0 to 1 and is no point at 0 or `n` successes, which the usual normal interval is.
pub fn wilson(successes: u32, n: u32) -> Option<Interval> {
    if n == 0 || successes > n {
        return None;
    }
    let (x, n) = (f64::from(successes), f64::from(n));
    let share = x / n;
    let squared = Z * Z;
    let middle = 2.0 * n * share + squared;
    let width = Z * (squared + 4.0 * n * share * (1.0 - share)).sqrt();
    let scale = 2.0 * (n + squared);
    Some(Interval {
        // The ends at 0 and n successes are exact; rounding must not push them out.
        low: if successes == 0 { 0.0 } else { (middle - width) / scale },
        high: if x >= n { 1.0 } else { (middle + width) / scale },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R. G. Newcombe, "Two-sided confidence intervals for the single proportion: comparison of seven methods",
    /// Statistics in Medicine 17, 1998, Table I, method 3 (score without continuity correction).
    #[test]
    fn gives_the_score_intervals_that_newcombe_printed() {
        for (successes, n, low, high) in [
            (81, 263, "0.2553", "0.3662"),
            (15, 148, "0.0624", "0.1605"),
            (0, 20, "0.0000", "0.1611"),
            (1, 29, "0.0061", "0.1718"),
        ] {
            let found = wilson(successes, n).unwrap();
            assert_eq!(format!("{:.4}", found.low), low, "{successes} of {n}");
            assert_eq!(format!("{:.4}", found.high), high, "{successes} of {n}");
        }
    }

    #[test]
    fn is_symmetric_stays_inside_and_holds_the_share() {
        for n in 1..=60_u32 {
            for successes in 0..=n {
                let found = wilson(successes, n).unwrap();
                let mirrored = wilson(n - successes, n).unwrap();
                assert!((found.low - (1.0 - mirrored.high)).abs() < 1e-12);
                let share = f64::from(successes) / f64::from(n);
                assert!(0.0 <= found.low && found.low <= share && share <= found.high && found.high <= 1.0);
                assert!(found.high - found.low > 0.01, "an interval is no point");
            }
        }
        assert_eq!((wilson(0, 0), wilson(2, 1)), (None, None));
    }
}
