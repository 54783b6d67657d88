//! The chance that one, or that all, of k tries pass.

/// Returns the unbiased estimate of pass@k, `1 - C(n-c, k) / C(n, k)`: the chance that at least one of `k` tries, drawn
/// without replacement from `n` of which `c` pass, is a pass (Chen et al., "Evaluating large language models trained on
/// code", arXiv:2107.03374, 2021, equation 1, in the product form of their figure 3). `None` when `k` is 0 or more than
/// `n`, or `c` more than `n`.
pub fn pass_at_k(n: u32, c: u32, k: u32) -> Option<f64> {
    if k == 0 || k > n || c > n {
        return None;
    }
    if n - c < k {
        return Some(1.0);
    }
    let misses: f64 = (n - c + 1..=n).map(|i| 1.0 - f64::from(k) / f64::from(i)).product();
    Some(1.0 - misses)
}

/// Returns the unbiased estimate of pass^k, `C(c, k) / C(n, k)`: the chance that all of `k` tries pass (Yao et al.,
/// "τ-bench", arXiv:2406.12045, 2024). `None` as for [`pass_at_k`].
pub fn pass_all_k(n: u32, c: u32, k: u32) -> Option<f64> {
    if k == 0 || k > n || c > n {
        return None;
    }
    Some(
        (0..k)
            .map(|i| f64::from(c.saturating_sub(i)) / f64::from(n - i))
            .product(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way to draw k of n, with the first c being passes: the definition, counted.
    fn counted(n: u32, c: u32, k: u32) -> (f64, f64) {
        let (mut any, mut every, mut all) = (0_u32, 0_u32, 0_u32);
        for drawn in 0..1_u32 << n {
            if drawn.count_ones() == k {
                let passes = (drawn & ((1 << c) - 1)).count_ones();
                all += 1;
                any += u32::from(passes > 0);
                every += u32::from(passes == k);
            }
        }
        (f64::from(any) / f64::from(all), f64::from(every) / f64::from(all))
    }

    #[test]
    fn are_the_shares_of_all_draws_by_definition() {
        for n in 1..=10 {
            for c in 0..=n {
                for k in 1..=n {
                    let (any, every) = counted(n, c, k);
                    assert!((pass_at_k(n, c, k).unwrap() - any).abs() < 1e-12, "{n} {c} {k}");
                    assert!((pass_all_k(n, c, k).unwrap() - every).abs() < 1e-12, "{n} {c} {k}");
                }
            }
        }
    }

    /// At the sample size (n = 200) and the k of Chen et al., against `1 - C(180, k) / C(200, k)` in exact fractions.
    #[test]
    fn keeps_its_digits_at_the_sample_size_of_the_humaneval_paper() {
        for (k, exact) in [(1, 0.1), (10, 0.660_225_623_763_214), (100, 0.999_999_667_831_292_2)] {
            let found = pass_at_k(200, 20, k).unwrap();
            assert!((found - exact).abs() < 1e-12, "{k}: {found}");
        }
        // One try is the share itself.
        assert!((pass_at_k(200, 57, 1).unwrap() - 57.0 / 200.0).abs() < 1e-12);
        assert!((pass_all_k(200, 57, 1).unwrap() - 57.0 / 200.0).abs() < 1e-12);
    }

    #[test]
    fn give_no_number_for_more_tries_than_there_were() {
        for (n, c, k) in [(5, 2, 6), (5, 2, 0), (0, 0, 1), (3, 4, 1)] {
            assert_eq!((pass_at_k(n, c, k), pass_all_k(n, c, k)), (None, None));
        }
    }
}
