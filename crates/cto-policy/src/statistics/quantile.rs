//! Quantiles of a sample.

use cto_schema::Spread;

use super::rounded;

/// Returns a quantile of values in ascending order, `p` from 0 to 1, interpolated linearly between order statistics:
/// type 7 of R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician 50, 1996,
/// which R and NumPy use unless told otherwise. `None` without values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "p is clamped, so the position is between 0 and the number of values, which fits u32"
)]
pub fn quantile(ascending: &[f64], p: f64) -> Option<f64> {
    let last = u32::try_from(ascending.len()).ok()?.checked_sub(1)?;
    let position = f64::from(last) * p.clamp(0.0, 1.0);
    let below = position.floor();
    let index = below as usize;
    let low = *ascending.get(index)?;
    let high = ascending.get(index + 1).copied().unwrap_or(low);
    Some(low + (position - below) * (high - low))
}

/// Returns how values are spread; `None` without values.
pub fn spread(mut values: Vec<f64>) -> Option<Spread> {
    values.sort_by(f64::total_cmp);
    let at = |p| quantile(&values, p).map(rounded);
    Some(Spread {
        n: u32::try_from(values.len()).ok()?,
        min: at(0.0)?,
        q1: at(0.25)?,
        median: at(0.5)?,
        q3: at(0.75)?,
        p95: at(0.95)?,
        max: at(1.0)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// NIST/SEMATECH e-Handbook of Statistical Methods, section 7.2.6.2 (percentiles), its twelve measurements; the
    /// handbook gives the 90th percentile of this definition, "R7", as 95.1957.
    #[test]
    fn gives_the_percentile_of_the_nist_handbook() {
        let mut values = vec![
            95.1772, 95.1567, 95.1937, 95.1959, 95.1442, 95.0610, 95.1591, 95.1195, 95.1065, 95.0925, 95.1990, 95.1682,
        ];
        values.sort_by(f64::total_cmp);
        assert_eq!(format!("{:.4}", quantile(&values, 0.9).unwrap()), "95.1957");
    }

    #[test]
    fn knows_the_ends_and_the_middle() {
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[7.0], 0.95), Some(7.0));
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0], 0.5), Some(2.5));
        let found = spread(vec![3.0, 1.0, 2.0, 5.0, 4.0]).unwrap();
        assert_eq!((found.n, found.min, found.q1, found.median), (5, 1.0, 2.0, 3.0));
        assert_eq!((found.q3, found.p95, found.max), (4.0, 4.8, 5.0));
        assert!(spread(vec![]).is_none());
    }
}
