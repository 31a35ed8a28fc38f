//! What `hawser policy` says, in both languages.

use hawser_policy::{Budget, CaseResult, CompileError, Expect, OnExceed, Verdict};

use crate::lang::Lang;
use crate::quantity::counted;

/// The texts in a language.
#[derive(Clone, Copy)]
pub(super) struct Words(pub(super) Lang);

macro_rules! labels {
    ($($name:ident = $en:literal, $zh:literal;)+) => {
        impl Words {
            $(pub(super) const fn $name(self) -> &'static str {
                self.0.pick($en, $zh)
            })+
        }
    };
}

labels! {
    rule = "rule", "规则";
    functions = "functions", "函数";
    history = "reads history", "读取历史";
    on_exceed = "on failure", "失败时";
    budget = "budget", "预算";
    empty_cost = "cost of an empty transaction", "空交易的开销";
    empty_fails = "fails on an empty transaction", "空交易上失败";
    case = "case", "用例";
    verdict = "verdict", "裁定";
    reason = "reason", "理由";
    expected = "expected", "预期";
    taken = "used", "用量";
    each_verdict = "said", "结论";
    facts = "facts:", "事实:";
}

impl Words {
    pub(super) const fn chinese(self) -> bool {
        matches!(self.0, Lang::Zh)
    }

    fn both(self, en: String, zh: String) -> String {
        if self.chinese() { zh } else { en }
    }

    pub(super) const fn yes_no(self, yes: bool) -> &'static str {
        if yes {
            self.0.pick("yes", "是")
        } else {
            self.0.pick("no", "否")
        }
    }

    pub(super) const fn outcome(self, outcome: OnExceed) -> &'static str {
        match outcome {
            OnExceed::Deny => self.0.pick("deny", "拒绝"),
            OnExceed::Flag => self.0.pick("flag", "标记"),
        }
    }

    pub(super) const fn said(self, said: Expect) -> &'static str {
        match said {
            Expect::Allow => self.0.pick("allow", "放行"),
            Expect::Deny => self.0.pick("deny", "拒绝"),
            Expect::Flag => self.0.pick("flag", "标记"),
            Expect::Cosign => self.0.pick("cosign", "须联签"),
            Expect::Error => self.0.pick("error", "脚本出错"),
            Expect::Exceeded => self.0.pick("exceeded", "超出限额"),
        }
    }

    pub(super) fn budget_of(self, budget: &Budget) -> String {
        let Budget {
            steps,
            memory,
            calls,
        } = budget;
        self.both(
            [
                counted(*steps, "step"),
                counted(*memory, "byte"),
                counted(*calls, "nested call"),
            ]
            .join(", "),
            format!("{steps} 步,{memory} 字节,{calls} 层调用"),
        )
    }

    pub(super) fn cost(self, steps: u64, memory: u64) -> String {
        self.both(
            format!("{}, {}", counted(steps, "step"), counted(memory, "byte")),
            format!("{steps} 步,{memory} 字节"),
        )
    }

    pub(super) fn share(self, budget: &Budget, steps: u64, memory: u64) -> String {
        self.both(
            format!(
                "{steps} of {} steps, {memory} of {} bytes",
                budget.steps, budget.memory
            ),
            format!(
                "步数 {steps}/{},内存 {memory}/{} 字节",
                budget.steps, budget.memory
            ),
        )
    }

    pub(super) fn verdict_text(self, verdict: &Verdict) -> String {
        let word = match verdict {
            Verdict::Allow => Expect::Allow,
            Verdict::Deny { .. } => Expect::Deny,
            Verdict::Flag { .. } => Expect::Flag,
            Verdict::Cosign { .. } => Expect::Cosign,
        };
        let word = self.said(word);
        match verdict {
            Verdict::Allow => word.to_owned(),
            Verdict::Deny { reason } | Verdict::Flag { reason } => format!("{word}: {reason}"),
            Verdict::Cosign { parties, reason } => {
                format!("{word}: {reason} ({})", parties.join(", "))
            }
        }
    }

    pub(super) fn does_not_compile(self, file: &str, error: &CompileError) -> String {
        self.both(
            format!("{file} is no rule: {error}"),
            format!("{file} 不是有效的规则:{error}"),
        )
    }

    pub(super) fn no_cases(self, path: &str) -> String {
        self.both(
            format!("no cases: write {path}, or name a file with --case"),
            format!("没有用例:请编写 {path},或用 --case 指定文件"),
        )
    }

    pub(super) fn no_such_case(self, path: &str, names: &[&str]) -> String {
        let names = names.join("; ");
        self.both(
            format!("{path} has no such case; it has: {names}"),
            format!("{path} 中没有该用例;现有:{names}"),
        )
    }

    pub(super) fn remark(self, place: &str, text: &str) -> String {
        self.both(
            format!("remark at {place}: {text}\n"),
            format!("提示({place}):{text}\n"),
        )
    }

    pub(super) fn has_remarks(self, count: usize) -> String {
        self.both(
            match count {
                1 => "1 remark; without --strict it is no failure".to_owned(),
                count => format!("{count} remarks; without --strict they are no failure"),
            },
            format!("有 {count} 条提示;不加 --strict 则不视为失败"),
        )
    }

    pub(super) const fn case_head(self) -> [&'static str; 4] {
        match self.0 {
            Lang::En => ["", "case", "verdict", "steps"],
            Lang::Zh => ["", "用例", "裁定", "步数"],
        }
    }

    pub(super) fn mismatch(self, result: &CaseResult) -> String {
        let (expected, found) = (self.said(result.expected), self.said(result.found));
        let wanted = result.expected_reason.as_ref();
        let wanted_en = wanted.map_or_else(String::new, |part| format!(" with {part:?}"));
        let wanted_zh = wanted.map_or_else(String::new, |part| format!("(理由含 {part:?})"));
        self.both(
            format!(
                "{}: expected {expected}{wanted_en}, the rule says {found}: {}\n",
                result.name, result.reason
            ),
            format!(
                "{}:预期{expected}{wanted_zh},规则的裁定为{found}:{}\n",
                result.name, result.reason
            ),
        )
    }

    pub(super) fn all_pass(self, count: usize) -> String {
        self.both(
            match count {
                1 => "The one case passes.\n".to_owned(),
                count => format!("All {count} cases pass.\n"),
            },
            format!("{count} 个用例全部通过。\n"),
        )
    }

    pub(super) fn failed(self, failed: usize, count: usize) -> String {
        self.both(
            match (failed, count) {
                (1, 1) => "The one case fails".to_owned(),
                (1, count) => format!("1 of {count} cases fails"),
                (failed, count) => format!("{failed} of {count} cases fail"),
            },
            format!("{count} 个用例中有 {failed} 个未通过"),
        )
    }

    pub(super) const fn risk_head(self) -> [&'static str; 6] {
        match self.0 {
            Lang::En => ["subject", "hour", "24 hours", "30 days", "flags", "denials"],
            Lang::Zh => ["主体", "1 小时", "24 小时", "30 天", "标记", "拒绝"],
        }
    }

    pub(super) const fn no_subject(self) -> &'static str {
        self.0.pick(
            "no such organisation on this chain, or the chain has no governance",
            "本链没有该机构,或本链未启用治理",
        )
    }
}
