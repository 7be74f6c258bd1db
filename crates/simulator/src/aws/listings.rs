//! What AWS tells everybody: who they are (STS), which images are the newest (SSM), what things cost (Price List).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::answer::Failure;
use super::cloud::ROLE;
use super::input::{number, page, text, texts};
use super::shop::{OFFERS, Offer};
use super::{Call, Service};
use crate::cluster::node::ACCOUNT;
use crate::world::World;

const DAY: i64 = 86_400;
/// Images come out every other week.
const PACE: i64 = 14 * DAY;

/// Who asks, to AWS.
pub fn caller() -> String {
    format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/demo")
}

/// The release of an image for a Kubernetes version that was the newest, or `back` before it.
pub fn release(version: &str, now: i64, back: usize) -> String {
    let day = (now / PACE - i64::try_from(back).unwrap_or(0)) * PACE;
    let date = Timestamp::from_second(day).unwrap_or_default().strftime("%Y%m%d");
    format!("{version}.2-{date}")
}

pub fn perform(world: &World, call: &Call) -> Result<Value, Failure> {
    let input = &call.input;
    match (call.service, call.operation.as_str()) {
        (Service::Sts, "GetCallerIdentity") => {
            Ok(json!({ "Arn": caller(), "UserId": "AROADEMODEMODEMODEMO:demo", "Account": ACCOUNT }))
        }
        (Service::Ssm, "GetParameters") => {
            let names = texts(input, "Names");
            if names.len() > 10 {
                return Err(Failure::invalid(Service::Ssm, "Member must have length less than or equal to 10"));
            }
            let (found, missing): (Vec<_>, Vec<_>) =
                names.into_iter().map(|name| (name, parameter(name, world.now()))).partition(|(_, it)| it.is_some());
            let found: Vec<_> = found.into_iter().filter_map(|(_, parameter)| parameter).collect();
            let missing: Vec<_> = missing.into_iter().map(|(name, _)| name).collect();
            Ok(json!({ "Parameters": found, "InvalidParameters": missing }))
        }
        (Service::Ssm, "GetParameter") => {
            let missing = || Failure::new(400, "ParameterNotFound", "");
            Ok(json!({ "Parameter": parameter(text(input, "Name"), world.now()).ok_or_else(missing)? }))
        }
        (Service::Pricing, "GetProducts") => products(call, world.now()),
        _ => Err(Failure::unknown_operation(call)),
    }
}

/// `/aws/service/eks/optimized-ami/1.34/…/recommended/release_version`, and the same of Bottlerocket.
fn parameter(name: &str, now: i64) -> Option<Value> {
    let (value, family) = if let Some(rest) = name.strip_prefix("/aws/service/eks/optimized-ami/") {
        let (version, rest) = rest.split_once('/')?;
        let value = match rest.rsplit('/').next()? {
            "release_version" => release(version, now, 0),
            "image_id" => "ami-0a1b2c3d4e5f60718".to_owned(),
            _ => return None,
        };
        (value, version)
    } else {
        let rest = name.strip_prefix("/aws/service/bottlerocket/aws-k8s-")?;
        rest.ends_with("/latest/image_version").then_some(("1.49.0".to_owned(), rest.split(['/', '-']).next()?))?
    };
    let known = family.split_once('.').is_some_and(|(major, minor)| major == "1" && minor.parse::<u32>().is_ok());
    known.then(|| {
        json!({ "Name": name, "Type": "String", "Value": value, "Version": 42, "DataType": "text",
            "LastModifiedDate": now / PACE * PACE, "ARN": format!("arn:aws:ssm:eu-west-1::parameter{name}") })
    })
}

fn products(call: &Call, now: i64) -> Result<Value, Failure> {
    let input = &call.input;
    let filters: Vec<_> = input["Filters"].as_array().into_iter().flatten().collect();
    let wanted =
        |field: &str| filters.iter().find(|filter| text(filter, "Field") == field).map(|filter| text(filter, "Value"));
    let region = wanted("regionCode").unwrap_or("eu-west-1");
    let fits = |offer: &&Offer| {
        let expected = [
            ("instanceType", offer.name),
            ("operatingSystem", "Linux"),
            ("tenancy", "Shared"),
            ("preInstalledSw", "NA"),
            ("capacitystatus", "Used"),
        ];
        expected.iter().all(|(field, value)| wanted(field).is_none_or(|wanted| wanted == *value))
    };
    let of_ec2 = text(input, "ServiceCode") == "AmazonEC2";
    let entries = OFFERS.iter().filter(|_| of_ec2).filter(fits).map(|offer| entry(offer, region, now).to_string());
    let size = number(input, "MaxResults").unwrap_or(100).clamp(1, 100) as usize;
    let (page, next) = page(entries.collect(), size, text(input, "NextToken"))?;
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": page });
    if let Some(next) = next {
        answer["NextToken"] = next.into();
    }
    Ok(answer)
}

/// An entry of the list; the list holds each as a text.
fn entry(offer: &Offer, region: &str, now: i64) -> Value {
    let month = Timestamp::from_second(now).unwrap_or_default().strftime("%Y-%m-01T00:00:00Z").to_string();
    let sku = format!("DEMO{:0>12}", offer.name.replace('.', "").to_uppercase());
    let term = format!("{sku}.JRTCKXETXF");
    let dimension = format!("{term}.6YS6EN2CT7");
    json!({
        "product": { "productFamily": "Compute Instance", "sku": sku, "attributes": {
            "instanceType": offer.name, "regionCode": region, "operatingSystem": "Linux", "tenancy": "Shared",
            "preInstalledSw": "NA", "capacitystatus": "Used", "vcpu": offer.vcpus.to_string(),
            "memory": format!("{} GiB", offer.memory_mib / 1024), "servicecode": "AmazonEC2",
        } },
        "serviceCode": "AmazonEC2", "version": month, "publicationDate": month,
        "terms": { "OnDemand": { term.clone(): {
            "sku": sku, "offerTermCode": "JRTCKXETXF", "effectiveDate": month, "termAttributes": {},
            "priceDimensions": { dimension.clone(): {
                "unit": "Hrs", "beginRange": "0", "endRange": "Inf", "rateCode": dimension, "appliesTo": [],
                "description": format!("${} per On Demand Linux {} Instance Hour", offer.dollars(), offer.name),
                "pricePerUnit": { "USD": offer.dollars() },
            } },
        } } },
    })
}
