//! Command-line arguments of a runner: which words are options, which are their values, which select tests.

/// Arguments, sorted out.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    options: Vec<(String, Option<String>)>,
    /// Words that are neither options nor their values.
    pub(super) positional: Vec<String>,
    /// Words after `--`.
    pub(super) rest: Vec<String>,
}

impl Arguments {
    /// Sorts `--long value`, `--long=value`, `-s value`, `-svalue` and clusters; `valued` names options with a value.
    pub(super) fn parse(words: &[String], valued: &[&str]) -> Self {
        Self::read(words, |word| {
            if word.starts_with("--") || word.len() <= 2 {
                return Word::Long(valued.contains(&word));
            }
            let at = word
                .char_indices()
                .skip(1)
                .find(|(_, c)| valued.contains(&format!("-{c}").as_str()));
            match at {
                Some((at, c)) => Word::Cluster {
                    name: format!("-{c}"),
                    value: word[at + c.len_utf8()..].to_owned(),
                },
                None => Word::Long(false),
            }
        })
    }

    /// Sorts Go's options, where one dash and two are the same.
    pub(super) fn parse_go(words: &[String], valued: &[&str]) -> Self {
        let mut plain: Vec<String> = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if word == "-args" || word == "--args" {
                plain.push("--".to_owned());
                plain.extend_from_slice(&words[at + 1..]);
                break;
            }
            plain.push(
                word.strip_prefix('-')
                    .filter(|w| w.starts_with('-') && w.len() > 1)
                    .unwrap_or(word)
                    .to_owned(),
            );
        }
        Self::read(&plain, |word| Word::Long(valued.contains(&word)))
    }

    fn read(words: &[String], judge: impl Fn(&str) -> Word) -> Self {
        let mut found = Self::default();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                found.rest = words.cloned().collect();
                break;
            }
            if !word.starts_with('-') || word == "-" {
                found.positional.push(word.clone());
                continue;
            }
            if let Some((name, value)) = word.split_once('=') {
                found.options.push((name.to_owned(), Some(value.to_owned())));
                continue;
            }
            match judge(word) {
                // A value that is optional, as of pytest's `--cov`, is not there when an option follows.
                Word::Long(true) => found
                    .options
                    .push((word.clone(), words.next_if(|next| !next.starts_with('-')).cloned())),
                Word::Long(false) => found.options.push((word.clone(), None)),
                Word::Cluster { name, value } if value.is_empty() => {
                    found.options.push((name, words.next().cloned()));
                }
                Word::Cluster { name, value } => found.options.push((name, Some(value))),
            }
        }
        found
    }

    /// Returns every value given under one of the names.
    pub(super) fn values(&self, names: &[&str]) -> Vec<&str> {
        self.options
            .iter()
            .filter(|(name, _)| names.contains(&name.as_str()))
            .filter_map(|(_, v)| v.as_deref())
            .collect()
    }

    /// Returns the last value given under one of the names, which is the one that counts.
    pub(super) fn value(&self, names: &[&str]) -> Option<&str> {
        self.values(names).last().copied()
    }

    /// Returns the first of the names that is present.
    pub(super) fn first_of<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        names
            .iter()
            .find(|name| self.options.iter().any(|(option, _)| option == *name))
            .copied()
    }

    /// Returns whether one of the names is present.
    pub(super) fn has(&self, names: &[&str]) -> bool {
        self.first_of(names).is_some()
    }
}

enum Word {
    Long(bool),
    Cluster { name: String, value: String },
}
