//! Comparing two shares over the same pairs.

/// Returns the two-sided exact p of McNemar's test from the discordant pairs: twice the smaller tail of a binomial with
/// an even chance, at most 1 (Q. McNemar, Psychometrika 12, 1947; the exact conditional form as in M. W. Fagerland,
/// S. Lydersen and P. Laake, "The McNemar test for binary matched-pairs data", BMC Medical Research Methodology 13:91,
/// 2013). Without a discordant pair nothing tells the two apart, and p is 1.
pub fn mcnemar_exact(only_first: u32, only_second: u32) -> f64 {
    let n = u64::from(only_first) + u64::from(only_second);
    if n == 0 {
        return 1.0;
    }
    let fewer = u64::from(only_first.min(only_second));
    // ln C(n, i) grows from term to term, so no factorial is needed and nothing overflows.
    let (mut log, mut tail) = (0.0_f64, 0.0_f64);
    let even = n as f64 * 2.0_f64.ln();
    for i in 0..=fewer {
        if i > 0 {
            log += ((n - i + 1) as f64 / i as f64).ln();
        }
        tail += (log - even).exp();
    }
    (2.0 * tail).min(1.0)
}

/// Adjusts p values for their number, in the order given (S. Holm, "A simple sequentially rejective multiple test
/// procedure", Scandinavian Journal of Statistics 6, 1979).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let left = u32::try_from(p.len() - rank).unwrap_or(u32::MAX);
        largest = largest.max((p[index] * f64::from(left)).min(1.0));
        adjusted[index] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fagerland, Lydersen and Laake 2013: airway hyper-responsiveness before and after stem cell transplantation (1 and
    /// 7 discordant pairs, exact conditional p 0.070), and complete response before and after consolidation therapy (6
    /// and 16, p 0.052).
    #[test]
    fn gives_the_p_values_of_fagerland_lydersen_and_laake() {
        assert_eq!(format!("{:.3}", mcnemar_exact(1, 7)), "0.070");
        assert_eq!(format!("{:.3}", mcnemar_exact(6, 16)), "0.052");
    }

    #[test]
    fn is_the_sum_of_binomials_and_does_not_care_who_is_first() {
        for (b, c, exact) in [(0, 5, 2.0 / 32.0), (2, 4, 44.0 / 64.0), (3, 3, 1.0), (0, 0, 1.0)] {
            assert!((mcnemar_exact(b, c) - exact).abs() < 1e-12, "{b} {c}");
            assert!((mcnemar_exact(c, b) - exact).abs() < 1e-12);
        }
        // A large sample neither overflows nor loses its tail.
        let large = mcnemar_exact(4_900, 5_100);
        assert!((0.04..0.05).contains(&large), "{large}");
        assert!(mcnemar_exact(0, 10_000) < 1e-300);
    }

    /// The values of R's `p.adjust(c(0.01, 0.02, 0.03, 0.04, 0.05), "holm")`.
    #[test]
    fn adjusts_as_r_does() {
        let found = holm(&[0.01, 0.02, 0.03, 0.04, 0.05]);
        for (found, expected) in found.iter().zip([0.05, 0.08, 0.09, 0.09, 0.09]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(holm(&[0.9, 0.5]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
