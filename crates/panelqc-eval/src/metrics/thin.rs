/// Points that a curve keeps.
const MOST: usize = 200;

/// Every so many points of a long curve; the first and the last stay.
pub(super) fn thin<T>(points: Vec<T>) -> Vec<T> {
    let count = points.len();
    if count <= MOST {
        return points;
    }
    let mut next = 0;
    let mut kept = Vec::with_capacity(MOST);
    for (i, point) in points.into_iter().enumerate() {
        if i == next {
            kept.push(point);
            next = (kept.len() * (count - 1)).div_ceil(MOST - 1);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_stay() {
        for count in [0, 1, 200, 201, 202, 399, 5000] {
            let kept = thin((0..count).collect());
            assert_eq!(kept.len(), count.min(200), "{count}");
            assert_eq!((kept.first(), kept.last().copied()), ((count > 0).then_some(&0), count.checked_sub(1)));
            assert!(kept.is_sorted_by(|a, b| a < b));
        }
    }
}
