//! The registry's text in the two forms that scrapers ask for.

use std::fmt::Write;

/// OpenMetrics 1.0 turned into the Prometheus text format 0.0.4: families of counters and of
/// information carry the suffix of their samples, and there are no units and no end mark.
pub(crate) fn to_prometheus(open_metrics: &str) -> String {
    let mut out = String::with_capacity(open_metrics.len());
    let mut help: Option<(&str, &str)> = None;
    for line in open_metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let Some((name, kind)) = rest.split_once(' ') else {
                continue;
            };
            let (suffix, kind) = match kind {
                "counter" => ("_total", kind),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                _ => ("", kind),
            };
            if let Some((_, text)) = help.take().filter(|(of, _)| *of == name) {
                let _ = writeln!(out, "# HELP {name}{suffix} {text}");
            }
            let _ = writeln!(out, "# TYPE {name}{suffix} {kind}");
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_as_their_samples() {
        let open = "# HELP a_seconds Time.\n# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
                    a_seconds_total 3\n# HELP b What.\n# TYPE b info\nb_info{x=\"# TYPE y\"} 1\n\
                    # HELP c How many.\n# TYPE c gauge\nc 2\n# EOF\n";
        assert_eq!(
            to_prometheus(open),
            "# HELP a_seconds_total Time.\n# TYPE a_seconds_total counter\na_seconds_total 3\n\
             # HELP b_info What.\n# TYPE b_info gauge\nb_info{x=\"# TYPE y\"} 1\n\
             # HELP c How many.\n# TYPE c gauge\nc 2\n"
        );
    }
}
