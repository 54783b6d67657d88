//! Resampling whole clusters, because cells of one case are not independent.

use cto_schema::Interval;

use super::{CONFIDENCE, SplitMix64, quantile};

/// How often clusters are resampled.
pub const REPLICATES: u32 = 2000;

/// One cluster: for a rate, the passes and the cells of a case.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cluster {
    /// Sum of what is averaged.
    pub total: f64,
    /// What it is divided by.
    pub weight: f64,
}

/// Returns the percentile interval of `Σ total / Σ weight` over resampled clusters (B. Efron and R. J. Tibshirani, "An
/// Introduction to the Bootstrap", 1993, chapter 13; whole clusters as in A. C. Davison and D. V. Hinkley, "Bootstrap
/// Methods and their Application", 1997, section 3.8). The seed decides the result; `None` with fewer than two clusters,
/// from which nothing about others can be learnt.
pub fn clustered_interval(clusters: &[Cluster], seed: u64) -> Option<Interval> {
    if clusters.len() < 2 {
        return None;
    }
    let mut replicates = resampled(clusters, seed, REPLICATES);
    replicates.sort_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some(Interval {
        low: quantile(&replicates, tail)?,
        high: quantile(&replicates, 1.0 - tail)?,
    })
}

/// Returns `replicates` values of the ratio, each over as many clusters as there are, drawn with replacement. A draw
/// without weight has no ratio and is left out.
pub fn resampled(clusters: &[Cluster], seed: u64, replicates: u32) -> Vec<f64> {
    let mut numbers = SplitMix64::new(seed);
    let count = u32::try_from(clusters.len()).unwrap_or(u32::MAX);
    let mut draw = || {
        let mut sum = Cluster {
            total: 0.0,
            weight: 0.0,
        };
        for _ in 0..count {
            let index = usize::try_from(numbers.below(count)).unwrap_or_default();
            if let Some(cluster) = clusters.get(index) {
                sum.total += cluster.total;
                sum.weight += cluster.weight;
            }
        }
        (sum.weight > 0.0).then(|| sum.total / sum.weight)
    };
    (0..replicates).filter_map(|_| draw()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(values: &[f64]) -> Vec<Cluster> {
        let of = |total: &f64| Cluster {
            total: *total,
            weight: 1.0,
        };
        values.iter().map(of).collect()
    }

    /// Efron and Tibshirani 1993, tables 2.1 and 2.2: survival of the seven treated mice. The mean is 86.86, and the
    /// bootstrap standard error of the mean for infinitely many replicates is 23.36.
    #[test]
    fn gives_the_standard_error_of_the_mouse_data() {
        let treated = plain(&[94.0, 197.0, 16.0, 38.0, 99.0, 141.0, 23.0]);
        let replicates = resampled(&treated, 1993, 200_000);
        let n = f64::from(u32::try_from(replicates.len()).unwrap());
        let mean = replicates.iter().sum::<f64>() / n;
        let error = (replicates.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
        assert!((mean - 86.86).abs() < 0.2, "{mean}");
        assert!((error - 23.36).abs() < 0.15, "{error}");
    }

    #[test]
    fn is_wider_than_wilson_where_cases_differ_and_not_where_they_do_not() {
        // Ten cases of ten cells: half of the cases always pass, the others never. The cells are ten facts, not a hundred.
        let case = |passes: f64| Cluster {
            total: passes,
            weight: 10.0,
        };
        let apart: Vec<Cluster> = (0..10).map(|i| case(if i < 5 { 10.0 } else { 0.0 })).collect();
        let clustered = clustered_interval(&apart, 1).unwrap();
        let single = super::super::wilson(50, 100).unwrap();
        assert!(
            clustered.high - clustered.low > 2.0 * (single.high - single.low),
            "{clustered:?}"
        );
        let alike: Vec<Cluster> = (0..10).map(|_| case(5.0)).collect();
        let found = clustered_interval(&alike, 1).unwrap();
        assert!((found.low - 0.5).abs() < 1e-12 && (found.high - 0.5).abs() < 1e-12);
    }

    #[test]
    fn is_the_same_for_a_seed_and_needs_two_clusters() {
        let clusters = plain(&[0.0, 1.0, 1.0, 0.0, 1.0]);
        assert_eq!(clustered_interval(&clusters, 5), clustered_interval(&clusters, 5));
        assert_ne!(resampled(&clusters, 5, 50), resampled(&clusters, 6, 50));
        assert_eq!(clustered_interval(&clusters[..1], 5), None);
        let weightless = [Cluster {
            total: 0.0,
            weight: 0.0,
        }; 3];
        assert_eq!(clustered_interval(&weightless, 5), None);
    }
}
