// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which KVM this is, and whose tables the processor walks under it.

use crate::judge::mmu::Walk;
use std::fs;
use std::path::Path;

/// A part of KVM that runs guests, and how it can be known.
struct Module {
    name: &'static str,
    /// The processor's flag without which it does not run.
    flag: Option<&'static str>,
    /// Its parameter that says whether the processor walks the guest's tables, and what it does that by.
    two_levels: Option<(&'static str, &'static str)>,
}

/// A kernel may have several built in; the one whose flag the processor has is the one that runs guests.
const MODULES: [Module; 3] = [
    Module { name: "kvm_intel", flag: Some("vmx"), two_levels: Some(("ept", "EPT")) },
    Module { name: "kvm_amd", flag: Some("svm"), two_levels: Some(("npt", "NPT")) },
    Module { name: "kvm_pvm", flag: None, two_levels: None },
];

/// A kind of KVM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    /// Its name: `kvm_intel with EPT`.
    pub name: String,
    /// Whose tables are walked.
    pub walk: Walk,
    /// How that is known.
    pub evidence: String,
}

impl Kind {
    /// This machine's.
    #[must_use]
    pub(super) fn of_this_machine() -> Self {
        let flags = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        Self::of(Path::new("/sys/module"), &flags)
    }

    /// What a folder of modules and the processor's description say.
    fn of(modules: &Path, cpuinfo: &str) -> Self {
        let flags = cpuinfo.lines().find_map(|line| line.strip_prefix("flags")).unwrap_or_default();
        let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
        let runs = |module: &&Module| modules.join(module.name).is_dir() && module.flag.is_none_or(has);
        let Some(Module { name, flag, two_levels }) = MODULES.iter().find(runs) else {
            let name = "of an unknown kind".to_owned();
            let evidence = format!("none of its modules that are known is in {}", modules.display());
            return Self { name, walk: Walk::Unknown, evidence };
        };
        let Some((parameter, by)) = two_levels else {
            let others =
                if has("vmx") || has("svm") { "no other module is" } else { "the processor has neither vmx nor svm" };
            let evidence = format!("{name} is loaded, and {others}");
            return Self { name: format!("{name}, shadow paging"), walk: Walk::Shadow, evidence };
        };
        let place = modules.join(name).join("parameters").join(parameter);
        let value = fs::read_to_string(&place).unwrap_or_default().trim().to_owned();
        let (name, walk) = match &*value {
            "Y" | "1" => (format!("{name} with {by}"), Walk::Tables),
            "N" | "0" => (format!("{name} without {by}, shadow paging"), Walk::Shadow),
            _ => ((*name).to_owned(), Walk::Unknown),
        };
        let evidence = format!(
            "{} is {}, and the processor has {}",
            place.display(),
            if value.is_empty() { "not to be read" } else { &value },
            flag.unwrap_or_default()
        );
        Self { name, walk, evidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of modules, each with what its parameter holds.
    #[track_caller]
    fn check(modules: &[(&str, &str, &str)], flags: &str, name: &str, walk: Walk, evidence: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        for (module, parameter, value) in modules {
            let parameters = folder.path().join(module).join("parameters");
            fs::create_dir_all(&parameters).expect("the module's folder");
            if !parameter.is_empty() {
                fs::write(parameters.join(parameter), value).expect("the parameter");
            }
        }
        let cpuinfo = format!("processor\t: 0\nflags\t\t: fpu {flags} nx\nvmx flags\t: ept\n");
        let kind = Kind::of(folder.path(), &cpuinfo);
        assert_eq!((&*kind.name, kind.walk), (name, walk));
        let said = kind.evidence.replace(&folder.path().display().to_string(), "/sys/module");
        assert_eq!(said, evidence);
    }

    #[test]
    fn two_levels_of_tables_leave_the_guests_own_to_the_processor() {
        let said = "/sys/module/kvm_intel/parameters/ept is Y, and the processor has vmx";
        check(&[("kvm_intel", "ept", "Y\n")], "vmx", "kvm_intel with EPT", Walk::Tables, said);
        let said = "/sys/module/kvm_amd/parameters/npt is 1, and the processor has svm";
        check(&[("kvm_amd", "npt", "1\n")], "svm", "kvm_amd with NPT", Walk::Tables, said);
    }

    #[test]
    fn without_them_it_walks_a_shadow() {
        let said = "/sys/module/kvm_intel/parameters/ept is N, and the processor has vmx";
        let name = "kvm_intel without EPT, shadow paging";
        check(&[("kvm_intel", "ept", "N\n")], "vmx", name, Walk::Shadow, said);
        let said = "kvm_pvm is loaded, and the processor has neither vmx nor svm";
        check(&[("kvm_pvm", "", "")], "hypervisor", "kvm_pvm, shadow paging", Walk::Shadow, said);
        let said = "kvm_pvm is loaded, and no other module is";
        check(&[("kvm_pvm", "", "")], "vmx", "kvm_pvm, shadow paging", Walk::Shadow, said);
    }

    #[test]
    fn a_module_without_its_processor_runs_no_guest() {
        let both = [("kvm_intel", "ept", "Y\n"), ("kvm_amd", "npt", "Y\n")];
        let said = "/sys/module/kvm_amd/parameters/npt is Y, and the processor has svm";
        check(&both, "svm", "kvm_amd with NPT", Walk::Tables, said);
        let said = "kvm_pvm is loaded, and the processor has neither vmx nor svm";
        check(&[both[0], ("kvm_pvm", "", "")], "", "kvm_pvm, shadow paging", Walk::Shadow, said);
        let said = "none of its modules that are known is in /sys/module";
        check(&both, "", "of an unknown kind", Walk::Unknown, said);
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let said = "/sys/module/kvm_intel/parameters/ept is not to be read, and the processor has vmx";
        check(&[("kvm_intel", "", "")], "vmx", "kvm_intel", Walk::Unknown, said);
    }
}
