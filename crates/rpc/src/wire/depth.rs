/// Whether objects and arrays nest at most `max` deep, found by scanning the bytes once without
/// parsing or recursion. Text that is no JSON may pass; the parser refuses it.
pub(crate) fn depth_within(text: &[u8], max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth = depth.saturating_add(1);
                if depth > max {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_the_depth_limit() {
        let nested = |n: usize| [vec![b'['; n], vec![b']'; n]].concat();
        assert!(depth_within(&nested(64), 64));
        assert!(!depth_within(&nested(65), 64));
        assert!(!depth_within(&nested(10_000_000), 64));
        assert!(depth_within(&b"[]".repeat(1000), 1));
    }

    #[test]
    fn brackets_in_strings_do_not_count() {
        assert!(depth_within(br#"["[[[[", "\"[[[", "\\"]"#, 1));
        assert!(!depth_within(br#"["\\", [1]]"#, 1));
    }
}
