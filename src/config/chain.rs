//! Section `[chain]`: the rules of a chain of one's own.
//!
//! Owns the spelling of [`ChainParams`] in the configuration file, in both directions: [`read`] and
//! [`to_toml`] are each other's inverse. What is not said is as on the main network, but for the
//! name, which must be said, and for the allocations, of which there are none. The order of the
//! allocations means nothing: they are taken in the order of their keys, so that the same table is
//! the same chain however it is sorted. Amounts are read by their digits.

use super::document::Document;
use super::error::{ConfigError, Place};
use super::values::{self, ValueError};
use crate::consensus::difficulty::Retarget;
use crate::consensus::params::{
    ChainParams, FutureLimit, LARGEST_BLOCK_MAX, LARGEST_BLOCK_MIN, ParamsError,
};
use crate::consensus::schedule::{Emission, Schedule, ScheduleError, Spacing};
use crate::primitives::{AddressPrefix, Amount, PublicKey, Target, UnixTime};
use std::fmt::{self, Write};
use std::ops::RangeInclusive;

/// The keys of the section.
pub(super) const KEYS: &[&str] = &[
    "name",
    "message",
    "genesis_time",
    "subsidy",
    "halving_interval",
    "spacing_start",
    "spacing_end",
    "spacing_ramp",
    "largest_block",
    "easiest_bits",
    "half_life",
    "solve_time_cap",
    "retarget",
    "future_seconds",
    "future_spacings",
    "allocations",
];

/// The hardest easiest target, 2^224: four billion hashes, some minutes of a laptop. What is harder
/// the retarget finds by itself, and a chain must be able to come down again when miners leave.
const EASIEST_BITS_MIN: u8 = 224;

/// The easiest target of all, 2^252: sixteen hashes, as on the development network.
const EASIEST_BITS_MAX: u8 = 252;

/// The longest time that is counted in seconds here: a day.
const SECONDS_MAX: u32 = 86_400;

/// The most spacings that are counted here: beyond it a rule would never move anything.
const SPACINGS_MAX: u32 = 10_000;

const SECTION: &str = "chain";

/// The rules in a file, and where they begin; `None` if it has none.
pub(super) fn read(toml: &Document<'_>) -> Result<Option<(ChainParams, Place)>, ConfigError> {
    let Some(place) = toml.place_of(SECTION, None) else { return Ok(None) };
    let main = ChainParams::main();
    let Some(name) = toml.value(SECTION, "name", values::chain_name)? else {
        let why = ValueError::new("a name for the chain, such as name = \"class-a\"", "none");
        return Err(ConfigError::Value { place, section: SECTION, key: "name", why });
    };
    let mut allocations = toml.entries(SECTION, "allocations", allocation)?.unwrap_or_default();
    allocations.sort_by_key(|(account, _)| *account.as_bytes());
    let genesis_time = number(toml, "genesis_time", 1..=u32::MAX)?;
    let params = ChainParams {
        name,
        prefix: AddressPrefix::Custom,
        genesis_time: genesis_time.map_or(main.genesis_time, UnixTime),
        message: toml.value(SECTION, "message", values::short_text)?.unwrap_or(main.message),
        schedule: schedule(toml, main.schedule, &allocations)?,
        allocations,
        retarget: retarget(toml, main.retarget)?,
        future_limit: future_limit(toml, main.future_limit)?,
    };
    match params.check() {
        Ok(()) => Ok(Some((params, place))),
        Err(why) => {
            let place = toml.place_of(SECTION, key_of(&why)).unwrap_or(place);
            Err(ConfigError::UnsoundChain { place, why })
        }
    }
}

fn allocation(
    address: &str,
    coins: &toml::de::DeValue<'_>,
) -> Result<(PublicKey, Amount), ValueError> {
    Ok((values::account(address)?, values::coins(coins)?))
}

/// The whole number at a key.
fn number<T>(
    toml: &Document<'_>,
    key: &'static str,
    range: RangeInclusive<T>,
) -> Result<Option<T>, ConfigError>
where
    T: TryFrom<i64> + PartialOrd + fmt::Display,
{
    toml.value(SECTION, key, |value| values::integer(value, range))
}

fn schedule(
    toml: &Document<'_>,
    main: Schedule,
    allocations: &[(PublicKey, Amount)],
) -> Result<Schedule, ConfigError> {
    let Schedule { emission, spacing, largest_block } = main;
    let seconds = 1..=SECONDS_MAX;
    let coins = |key| toml.value(SECTION, key, values::coins);
    let allocated = Amount::checked_sum(allocations.iter().map(|(_, amount)| *amount));
    let interval = number(toml, "halving_interval", 1..=u32::MAX)?;
    let emission = Emission {
        // A sum that overflows is refused with the other rules of allocations.
        allocations: allocated.unwrap_or(Amount::ZERO),
        subsidy: coins("subsidy")?.unwrap_or(emission.subsidy),
        halving_interval: interval.unwrap_or(emission.halving_interval),
    };
    let spacing = Spacing {
        start: number(toml, "spacing_start", seconds.clone())?.unwrap_or(spacing.start),
        end: number(toml, "spacing_end", seconds)?.unwrap_or(spacing.end),
        ramp: coins("spacing_ramp")?.unwrap_or(spacing.ramp),
    };
    let largest = number(toml, "largest_block", LARGEST_BLOCK_MIN..=LARGEST_BLOCK_MAX)?;
    Ok(Schedule { emission, spacing, largest_block: largest.unwrap_or(largest_block) })
}

fn retarget(toml: &Document<'_>, main: Retarget) -> Result<Retarget, ConfigError> {
    let spacings = 1..=SPACINGS_MAX;
    let cap = number(toml, "solve_time_cap", spacings.clone())?;
    let bits = number(toml, "easiest_bits", EASIEST_BITS_MIN..=EASIEST_BITS_MAX)?;
    Ok(Retarget {
        half_life: number(toml, "half_life", spacings)?.unwrap_or(main.half_life),
        solve_time_cap: cap.unwrap_or(main.solve_time_cap),
        easiest: bits.map_or(main.easiest, Target::power_of_two),
        enabled: toml.value(SECTION, "retarget", values::boolean)?.unwrap_or(main.enabled),
    })
}

fn future_limit(toml: &Document<'_>, main: FutureLimit) -> Result<FutureLimit, ConfigError> {
    let spacings = number(toml, "future_spacings", 1..=SPACINGS_MAX)?;
    Ok(FutureLimit {
        seconds: number(toml, "future_seconds", 1..=SECONDS_MAX)?.unwrap_or(main.seconds),
        spacings: spacings.unwrap_or(main.spacings),
    })
}

/// The key whose value is most likely to be the one to change.
fn key_of(why: &ParamsError) -> Option<&'static str> {
    match why {
        ParamsError::Schedule(ScheduleError::SpacingEnd { .. }) => Some("spacing_end"),
        ParamsError::Schedule(ScheduleError::SpacingRamp) => Some("spacing_ramp"),
        ParamsError::LargestBlock(_) | ParamsError::LargestBlockTooLarge(_) => {
            Some("largest_block")
        }
        ParamsError::TooManyAllocations(_)
        | ParamsError::EmptyAllocation(_)
        | ParamsError::RepeatedAllocation(_)
        | ParamsError::AllocationsTooLarge => Some("allocations"),
        _ => None,
    }
}

/// The whole table, with every key, as it can be given to others.
pub fn to_toml(params: &ChainParams) -> String {
    let ChainParams { schedule, retarget, future_limit, .. } = params;
    let Schedule { emission, spacing, largest_block } = schedule;
    let easiest_bits = retarget.easiest.value().bit_len() - 1;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let values = [
        quoted(params.name.as_str()),
        quoted(params.message.as_str()),
        params.genesis_time.to_string(),
        emission.subsidy.to_string(),
        emission.halving_interval.to_string(),
        spacing.start.to_string(),
        spacing.end.to_string(),
        spacing.ramp.to_string(),
        largest_block.to_string(),
        easiest_bits.to_string(),
        retarget.half_life.to_string(),
        retarget.solve_time_cap.to_string(),
        retarget.enabled.to_string(),
        future_limit.seconds.to_string(),
        future_limit.spacings.to_string(),
    ];
    let mut table = format!("[{SECTION}]\n");
    for (key, value) in KEYS.iter().zip(values) {
        // Writing to a string cannot fail.
        let _ = writeln!(table, "{key} = {value}");
    }
    if !params.allocations.is_empty() {
        let _ = writeln!(table, "\n[{SECTION}.allocations]");
    }
    for (account, amount) in &params.allocations {
        let _ = writeln!(table, "{} = {amount}", account.to_address(params.prefix));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigFile;
    use crate::primitives::amount::COIN;
    use crate::testkit::TestKey;

    fn params(text: &str) -> ChainParams {
        let file = ConfigFile::parse("config.toml", text.as_bytes());
        file.unwrap_or_else(|error| panic!("{text}: {error}")).chain.expect("a [chain] table").0
    }

    fn check(text: &str, expected: &str) {
        let error = ConfigFile::parse("config.toml", text.as_bytes()).unwrap_err().to_string();
        assert_eq!(error.strip_prefix("config.toml "), Some(expected), "{text}");
    }

    fn address(number: u32) -> String {
        TestKey::new(number).public.to_address(AddressPrefix::Custom)
    }

    #[test]
    fn only_the_name_must_be_said_and_the_rest_is_as_on_main() {
        let main = ChainParams::main();
        let expected = ChainParams {
            name: "class-a".parse().unwrap(),
            prefix: AddressPrefix::Custom,
            ..main.clone()
        };
        let own = params("[chain]\nname = \"class-a\"");
        assert_eq!(own, expected);
        assert_ne!(own.chain_id(), main.chain_id());
    }

    #[test]
    fn every_key_makes_another_chain() {
        let plain = params("[chain]\nname = \"a\"");
        let changes = [
            "name = \"b\"",
            "message = \"for the class of 2027\"",
            "genesis_time = 1_800_000_000",
            "subsidy = 2.5",
            "halving_interval = 1_000",
            "spacing_start = 9",
            "spacing_end = 61",
            "spacing_ramp = 0.00000001",
            "largest_block = 999_999",
            "easiest_bits = 240",
            "half_life = 41",
            "solve_time_cap = 41",
            "retarget = false",
            "future_seconds = 121",
            "future_spacings = 4",
            &format!("allocations = {{ {} = 5 }}", address(1)),
        ];
        assert_eq!(changes.len(), KEYS.len());
        let mut ids = std::collections::HashSet::from([plain.chain_id()]);
        for (key, change) in KEYS.iter().zip(changes) {
            assert!(change.starts_with(key), "{key}");
            let name = if *key == "name" { "" } else { "name = \"a\"\n" };
            let changed = params(&format!("[chain]\n{name}{change}"));
            assert!(ids.insert(changed.chain_id()), "{change}");
            assert_eq!(params(&to_toml(&changed)), changed, "{change}");
        }
    }

    #[test]
    fn amounts_are_read_by_their_digits() {
        let units = |digits: &str| {
            let text = format!("[chain]\nname = \"a\"\nhalving_interval = 1\nsubsidy = {digits}");
            params(&text).schedule.emission.subsidy.units()
        };
        // 0.1 + 0.2 and the last of these have no exact binary fraction.
        let table = [
            ("10", 10 * COIN),
            ("2.5", COIN * 5 / 2),
            ("0.3", 30_000_000),
            ("1e-8", 1),
            ("1_000.5", COIN * 2_001 / 2),
            ("9999999.12345678", 999_999_912_345_678),
        ];
        for (digits, expected) in table {
            assert_eq!(units(digits), expected, "{digits}");
        }
    }

    #[test]
    fn the_same_allocations_are_the_same_chain_in_any_order_and_spelling() {
        let (one, two) = (address(1), address(2));
        let tables = [
            format!("allocations = {{ {one} = 1.5, {two} = 2 }}"),
            format!("allocations = {{ {two} = 2.0, {one} = 1.50 }}"),
            format!("[chain.allocations]\n{two} = 2\n{one} = 1.5"),
            format!("[chain.allocations]\n{} = 1.5\n{two} = 2", TestKey::new(1).public),
        ];
        let start = "[chain]\nname = \"a\"\nhalving_interval = 1_000_000\n";
        let read = |table: &String| params(&format!("{start}{table}"));
        let first = read(&tables[0]);
        assert_eq!(first.schedule.emission.allocations.units(), COIN * 7 / 2);
        for table in &tables {
            assert_eq!(read(table).chain_id(), first.chain_id(), "{table}");
        }
        assert_eq!(params(&to_toml(&first)), first);
    }

    #[test]
    fn a_name_can_be_seen_and_said_and_is_none_of_the_built_in() {
        let good = [
            "a",
            "7",
            "class-a",
            "Klasse 7a",
            "kurs_2",
            "école",
            "学校",
            "мейн",
            "क्लास",
            "main2",
            "dev.2",
            "a☕",
        ];
        for name in good {
            assert_eq!(params(&format!("[chain]\nname = \"{name}\"")).name.as_str(), name);
        }
        let form = "a name that begins with a letter or digit and ends without blanks";
        let bad = [
            "",
            " ",
            "   ",
            "\u{a0}",
            "\u{3000}",
            " a",
            "a ",
            "a\u{2003}",
            "dev ",
            " main",
            "\u{301}",
            "\u{345}a",
            "-a",
            ".",
        ];
        let taken = "a name other than main and dev, in any case";
        let builtin = ["main", "dev", "MAIN", "Dev", "mAiN"];
        let table =
            bad.map(|name| (name, form)).into_iter().chain(builtin.map(|name| (name, taken)));
        for (name, expected) in table {
            let text = format!("[chain]\nname = \"{name}\"");
            check(&text, &format!("line 2: name in [chain]: expected {expected}, got {name:?}"));
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let named = |rest: &str| format!("[chain]\nname = \"a\"\n{rest}");
        let (one, key) = (address(1), TestKey::new(1).public);
        let fard = TestKey::new(1).public.to_address(AddressPrefix::Dev);
        let chain = "makes no chain:";
        let table = [
            ("\n[chain]\n".into(), "line 2: name in [chain]: expected a name for the chain, such as name = \"class-a\", got none".into()),
            ("[chain]\nname = \"a\\nb\"".into(), "line 2: name in [chain]: expected text without control characters, got U+000A".into()),
            ("[chain]\nname = \"a\\u202Eb\"".into(), "line 2: name in [chain]: expected a name without marks that cannot be seen or that turn the text around, got U+202E".into()),
            ("[chain]\nname = \"\u{2066}a\"".into(), "line 2: name in [chain]: expected a name without marks that cannot be seen or that turn the text around, got U+2066".into()),
            ("[chain]\nname = \"a\\u2800\"".into(), "line 2: name in [chain]: expected a name without marks that cannot be seen or that turn the text around, got U+2800".into()),
            (named("largest_block = 1_000_001"), "line 3: largest_block in [chain]: expected a whole number from 1000 to 1000000, got 1000001".into()),
            (named("largest_block = 1_000"), format!("line 3: [chain] {chain} expected room for 1000 bytes in the first block, got 166")),
            (named("easiest_bits = 223"), "line 3: easiest_bits in [chain]: expected a whole number from 224 to 252, got 223".into()),
            (named("easiest_bits = 253"), "line 3: easiest_bits in [chain]: expected a whole number from 224 to 252, got 253".into()),
            (named("\nspacing_end = 9"), format!("line 4: [chain] {chain} expected a last spacing of at least the first (10 s), got 9 s")),
            (named("spacing_start = 61"), format!("line 1: [chain] {chain} expected a last spacing of at least the first (61 s), got 60 s")),
            (named("subsidy = 0x10"), "line 3: subsidy in [chain]: expected an amount in coins such as 12.5, got 0x10".into()),
            (named("subsidy = 0.000000001"), "line 3: subsidy in [chain]: expected at most 8 decimals, got 0.000000001".into()),
            (named("subsidy = nan"), "line 3: subsidy in [chain]: expected an amount in coins such as 12.5, got \"nan\"".into()),
            (named("subsidy = -1"), "line 3: subsidy in [chain]: expected an amount of zero or more, got -1".into()),
            (named("subsidy = 11"), format!("line 1: [chain] {chain} expected allocations and subsidies of at most 21000000 coins in all, got 23099988.9055: a lower subsidy or halving interval gives fewer")),
            (named("allocations = 5"), "line 3: allocations in [chain]: expected a table, such as { name = 1 }, got 5".into()),
            (named(&format!("allocations = {{ {one} = 0 }}")), format!("line 3: [chain] {chain} expected an allocation above zero for {key}")),
            (named(&format!("[chain.allocations]\n{one} = 1\n{key} = 1")), format!("line 3: [chain] {chain} expected one allocation for {key}, got two")),
            (named(&format!("[chain.allocations]\n{fard} = 1")), format!("line 4: allocations in [chain]: {fard:?}: expected an address beginning with farc1, this one begins with fard1: it belongs to another network")),
            (named("[chain.allocations]\n\nme = 1"), "line 5: allocations in [chain]: \"me\": expected an address beginning with farc1 or 64 hex digits of a public key: parse failed".into()),
            (named("speed = 1"), format!("line 3: unknown key \"speed\" in [chain]: expected one of {}", KEYS.join(", "))),
        ];
        for (text, expected) in table {
            check(&text, &expected);
        }
    }
}
