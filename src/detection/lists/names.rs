//! Whether letters in a text are a name, or only letters of another one.
//!
//! In flow a text and the place in it at which a listed name was found; out flows whether it stands there as a name.
//! `root` is one in `root-access` and `OrgRootRole`, not in `rootless`. What is not ASCII counts as a letter.

/// Whether words of a role's or profile's name stand at this place: between hyphens, digits and the like, or capitals.
pub(super) fn are_words(text: &[u8], start: usize, end: usize) -> bool {
    is_between_words(text, start) && is_between_words(text, end)
}

/// Whether one word ends before a place and another begins at it, or nothing stands on one of its sides.
fn is_between_words(text: &[u8], at: usize) -> bool {
    let (Some(before), Some(after)) = (before(text, at), text.get(at)) else {
        return true;
    };
    if !is_letter(before) || !is_letter(*after) {
        return true;
    }
    // `orgRoot` has a word more, and so has `AWSRoot`, in which the last capital of many begins it.
    let next_is_small = text.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    after.is_ascii_uppercase() && (before.is_ascii_lowercase() || next_is_small)
}

/// Whether a user agent names a program, or the system that it runs on, at this place: `kali` in `kali/2.1`, in the kernel
/// release `5.10.0-kali7-amd64` and in `md/distrib#kali.2024`, not in `my-kali-agent`.
pub(super) fn is_program(text: &[u8], start: usize, end: usize) -> bool {
    let release = is_in_release(text, start);
    let begins = match before(text, start) {
        Some(b'-') => release,
        Some(before) => !is_letter(before),
        None => true,
    };
    let ends = match text.get(end) {
        // A version may follow with a hyphen, and an architecture the name of a system: other words make it another name.
        Some(b'-') => release || text.get(end + 1).is_some_and(u8::is_ascii_digit),
        Some(after) => !is_letter(*after),
        None => true,
    };
    begins && ends
}

/// Whether what begins here goes on with the digits of a release: `5.10.0-kali7-amd64`, `6.1.0-1parrot1-amd64`.
fn is_in_release(text: &[u8], at: usize) -> bool {
    let mut back = text.iter().take(at).rev();
    match back.next() {
        Some(b'-' | b'+') => back.next().is_some_and(u8::is_ascii_digit),
        Some(before) => before.is_ascii_digit(),
        None => false,
    }
}

fn before(text: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).and_then(|at| text.get(at)).copied()
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(text: &str, name: &str, stands: fn(&[u8], usize, usize) -> bool) -> bool {
        let lower = text.to_ascii_lowercase();
        lower
            .match_indices(name)
            .any(|(at, _)| stands(text.as_bytes(), at, at + name.len()))
    }

    #[test]
    fn words_are_told_from_letters() {
        for (text, name, want) in [
            ("root", "root", true),
            ("root-access", "root", true),
            ("my_root.2", "root", true),
            ("OrgRootRole", "root", true),
            ("AWSRootRole", "root", true),
            ("ROOTRole", "root", true),
            ("root2", "root", true),
            ("rootless", "root", false),
            ("taproot", "root", false),
            ("ROOTLESS", "root", false),
            ("rootèd", "root", false),
            ("CodeDeployServiceRole", "deploy", true),
            ("deployment-test", "deploy", false),
            ("redeploy", "deploy", false),
            ("AmazonSSMManagedInstanceCore", "ssm", true),
            ("SSMInstanceRole", "ssm", true),
            ("assessment", "ssm", false),
        ] {
            assert_eq!(any(text, name, are_words), want, "{text}");
        }
    }

    #[test]
    fn programs_and_systems_are_told_from_letters_of_other_names() {
        for (text, name, want) in [
            ("kali", "kali", true),
            (
                "Boto3/1.9 Linux/5.10.0-kali7-amd64 Botocore/1",
                "kali",
                true,
            ),
            ("aws-cli/2.15 exe/x86_64.kali.2023 prompt/off", "kali", true),
            (
                "aws-cli/2.17 md/distrib#kali.2024 md/prompt#off",
                "kali",
                true,
            ),
            ("my-kalibrate-agent/1.0", "kali", false),
            ("my-kali-agent/1.0", "kali", false),
            ("kali-ai-sdk/1.0", "kali", false),
            ("Boto3/1.9 Linux/6.1.0-1parrot1-amd64", "parrot", true),
            ("Boto3/1.9 Linux/6.11.5+parrot-amd64", "parrot", true),
            ("aws-cli/2.17 md/distrib#parrot.6", "parrot", true),
            ("parrot-ai-sdk/2.0", "parrot", false),
            ("parrots/2.0", "parrot", false),
            ("Linux/5.15.0-pentoo-x86_64", "pentoo", true),
            ("Pacu/1.5", "pacu", true),
            ("pacu-1.5", "pacu", true),
            ("pacuare/1.0", "pacu", false),
            ("stratus-red-team_4f2a", "stratus-red-team", true),
            (
                "x (https://github.com/nccgroup/ScoutSuite)",
                "scoutsuite",
                true,
            ),
            ("app/kops", "kops", true),
            ("devkops/1", "kops", false),
        ] {
            assert_eq!(any(text, name, is_program), want, "{text}");
        }
    }
}
