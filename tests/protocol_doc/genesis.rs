//! Keys, addresses, parameters and genesis blocks.

use crate::example::Example;
use crate::markdown::{Field, code, field, fields, table, text_field, values};
use farthing::consensus::params::ChainParams;
use farthing::primitives::AddressPrefix;
use farthing::primitives::hash::sha256;

/// One key on every network.
pub fn addresses(example: &Example) -> String {
    let key = example.key(1);
    let address = |prefix| key.to_address(prefix);
    values(&[
        ("public key", key.to_string()),
        ("address on `main`", address(AddressPrefix::Main)),
        ("address on `dev`", address(AddressPrefix::Dev)),
        ("address on a custom chain", address(AddressPrefix::Custom)),
    ])
}

/// The ten accounts whose keys are known to all.
pub fn dev_accounts(example: &Example) -> String {
    let row = |number: usize| {
        let wallet = &example.accounts[number - 1];
        let address = wallet.public_key().to_address(AddressPrefix::Dev);
        vec![number.to_string(), code(wallet.secret_hex().as_str()), code(address)]
    };
    let rows: Vec<_> = (1..=10).map(row).collect();
    table(&["account", "private key", "address on `dev`"], &rows)
}

/// The main network's parameters, field by field, and its genesis.
pub fn main_parameters(_: &Example) -> String {
    let params = ChainParams::main();
    format!("{}\n{}", fields(&params.encode(), &parameter_fields(&params)), genesis(&params))
}

/// The development network's genesis.
pub fn dev_parameters(_: &Example) -> String {
    genesis(&ChainParams::dev())
}

fn genesis(params: &ChainParams) -> String {
    let (encoding, genesis) = (params.encode(), params.genesis());
    let hash = genesis.hash();
    values(&[
        ("whole encoding", hex::encode(&encoding)),
        ("SHA-256 of the encoding", hex::encode(sha256(&[&encoding]))),
        ("history root", ChainParams::genesis_roots().history.to_string()),
        ("commitment", genesis.commitment.to_string()),
        ("genesis header", hex::encode(genesis.encode())),
        ("genesis hash = chain id, as bytes", hex::encode(hash.as_bytes())),
        ("the same as it is shown", hash.to_string()),
        ("work of genesis", params.retarget.easiest.work().to_string()),
    ])
}

/// The fields of parameters without allocations; [`fields`] checks that they are all.
fn parameter_fields(params: &ChainParams) -> Vec<Field> {
    let number = |name: &str, value: u32| field(name, value.to_le_bytes(), value);
    let units = |name: &str, value: u64| field(name, value.to_le_bytes(), value);
    let mut all = vec![field("format", b"farthing/params/1", "\"farthing/params/1\"")];
    all.push(text_field("name", params.name.as_str()));
    all.push(text_field("address prefix", params.prefix.as_str()));
    all.push(number("genesis time", params.genesis_time.0));
    all.push(text_field("message", params.message.as_str()));
    all.push(number("number of allocations", 0));
    let (schedule, retarget, limit) = (params.schedule, params.retarget, params.future_limit);
    let bits = params.easiest_bits();
    all.extend([
        units("subsidy", schedule.emission.subsidy.units()),
        number("halving interval", schedule.emission.halving_interval),
        number("spacing, start", schedule.spacing.start),
        number("spacing, end", schedule.spacing.end),
        units("spacing ramp", schedule.spacing.ramp.units()),
        number("largest block", schedule.largest_block),
        field("easiest target, compact", bits.0.to_le_bytes(), format!("{bits:?}")),
        number("half-life in spacings", retarget.half_life),
        number("cap on solve time in spacings", retarget.solve_time_cap),
        field("retargeting", [u8::from(retarget.enabled)], u8::from(retarget.enabled)),
        number("future limit in seconds", limit.seconds),
        number("future limit in spacings", limit.spacings),
    ]);
    all
}
