//! Completions for shells: what clap knows of the commands, and the names of plugins, which only a server
//! knows. Asking for them is quiet: without a server there are none.

use std::fmt::Write as _;

use clap::Command;
use clap_complete::Shell;

use crate::cli::Cli;

/// The plugins' keys, one on each line.
const KEYS: &str = "plugyard list -o name 2>/dev/null | sed 's/^[^:]*://'";

/// The script for a shell.
pub(crate) fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::tree(), "plugyard", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    let verbs = verbs(&Cli::tree());
    // Writing into a text does not fail.
    let _ = match shell {
        Shell::Bash => bash(&mut script, &verbs),
        Shell::Fish => fish(&mut script, &verbs),
        Shell::Zsh => {
            script = zsh(&script);
            Ok(())
        }
        // The others get what clap knows.
        _ => Ok(()),
    };
    script
}

/// The commands that take plugins, as a user begins them.
fn verbs(command: &Command) -> Vec<String> {
    let takes = |command: &Command| {
        let mut words = command.get_positionals();
        words.any(|it| matches!(it.get_id().as_str(), "plugin" | "plugins"))
    };
    let mut verbs = Vec::new();
    for verb in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        if takes(verb) {
            verbs.push(verb.get_name().to_owned());
        }
        let of_noun = verb.get_subcommands().filter(|it| takes(it));
        verbs.extend(of_noun.map(|it| format!("{} {}", verb.get_name(), it.get_name())));
    }
    verbs
}

fn bash(script: &mut String, verbs: &[String]) -> std::fmt::Result {
    let one = verbs.iter().filter(|it| !it.contains(' '));
    let two = verbs.iter().filter(|it| it.contains(' '));
    let one: Vec<_> = one.map(|it| format!("{it}\\ *")).collect();
    let two: Vec<_> = two.map(|it| it.replace(' ', "\\ ") + "\\ *").collect();
    let cases = [one, two].concat().join("|");
    write!(
        script,
        r#"
_plugyard_with_plugins() {{
    local words="${{COMP_WORDS[*]:1}} " cur="${{COMP_WORDS[COMP_CWORD]}}"
    _plugyard "$@"
    case "$words" in
        {cases})
            if [[ "$cur" != -* ]]; then
                COMPREPLY+=($(compgen -W "$({KEYS})" -- "$cur"))
            fi
            ;;
    esac
}}
complete -F _plugyard_with_plugins -o bashdefault -o default plugyard
"#
    )
}

fn fish(script: &mut String, verbs: &[String]) -> std::fmt::Result {
    for verb in verbs {
        let seen: Vec<_> = verb
            .split(' ')
            .map(|word| format!("__fish_seen_subcommand_from {word}"))
            .collect();
        let seen = seen.join("; and ");
        writeln!(
            script,
            "complete -c plugyard -n \"{seen}\" -f -a \"({KEYS})\""
        )?;
    }
    Ok(())
}

/// Arguments called `plugin` are completed by a function of our own instead of with files.
fn zsh(script: &str) -> String {
    let mut known = String::new();
    for line in script.lines() {
        let is_plugin = [":plugin ", ":plugins ", ":plugin:", ":plugins:"]
            .iter()
            .any(|it| line.contains(it));
        let line = if is_plugin {
            line.replace(":_default'", ":_plugyard_plugins'")
        } else {
            line.to_owned()
        };
        known.push_str(&line);
        known.push('\n');
    }
    let own = format!(
        "_plugyard_plugins() {{\n    local -a plugins\n    plugins=(${{(f)\"$({KEYS})\"}})\n    \
         compadd -a plugins\n}}\n"
    );
    // Before the generated script calls its own function at its end.
    match known.split_once("\n_plugyard()") {
        Some((head, rest)) => format!("{head}\n{own}\n_plugyard(){rest}"),
        None => known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_take_plugins_are_known_by_their_arguments() {
        let verbs = verbs(&Cli::tree());
        for verb in ["show", "logs", "uninstall", "restart", "rollback"] {
            assert!(verbs.contains(&verb.to_owned()), "{verb}: {verbs:?}");
        }
        assert!(!verbs.contains(&"install".to_owned()), "{verbs:?}");
    }

    #[test]
    fn each_script_asks_for_plugins() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);
            assert!(script.contains("plugyard list -o name"), "{shell}");
        }
        assert!(script(Shell::Zsh).contains(":_plugyard_plugins'"));
    }
}
