//! On-demand prices from the Price List API. A price says what it is for and how old the list is; what cannot be read is
//! unknown, never 0.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Call;
use super::endpoint::{PRICING, partition};
use super::error::{AwsError, ErrorKind};
use super::session::AwsSession;

/// The price of an instance type that runs Linux, shared tenancy, without contract.
#[derive(Debug, Clone, PartialEq)]
pub struct OnDemand {
    pub instance_type: String,
    pub region: String,
    pub per_hour: f64,
    /// `USD`, in China `CNY`.
    pub currency: String,
    /// Since when the list has it.
    pub effective: Option<Timestamp>,
    /// When we asked.
    pub fetched: Timestamp,
}

/// The on-demand price of a type in the session's region; `None` where the list has none. Needs `pricing:GetProducts`.
pub async fn get_products(session: &AwsSession, instance_type: &str) -> Result<Option<OnDemand>, AwsError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        /// Each entry is JSON in a string.
        #[serde(default)]
        price_list: Vec<String>,
    }
    let region = session.region();
    let Some(list_region) = partition(region).pricing else {
        return Err(AwsError::new(PRICING, "GetProducts", region, ErrorKind::UnknownOperation));
    };
    let filter = |field: &str, value: &str| json!({ "Type": "TERM_MATCH", "Field": field, "Value": value });
    let body = json!({
        "ServiceCode": "AmazonEC2",
        "FormatVersion": "aws_v1",
        "Filters": [
            filter("instanceType", instance_type),
            filter("regionCode", region),
            filter("operatingSystem", "Linux"),
            filter("tenancy", "Shared"),
            filter("preInstalledSw", "NA"),
            filter("capacitystatus", "Used"),
        ],
        "MaxResults": 10,
    });
    let answer: Answer = session.json(Call::json(PRICING, "GetProducts", &body).in_region(list_region)).await?;
    let now = Timestamp::now();
    Ok(answer.price_list.iter().find_map(|entry| read(entry, instance_type, region, now)))
}

/// The hourly price of an entry: `terms.OnDemand.*.priceDimensions.*` with the unit `Hrs`.
fn read(entry: &str, instance_type: &str, region: &str, now: Timestamp) -> Option<OnDemand> {
    let entry: Value = serde_json::from_str(entry).ok()?;
    let attributes = entry.pointer("/product/attributes")?;
    let own = |key: &str, wanted: &str| attributes.get(key).and_then(Value::as_str).is_none_or(|it| it == wanted);
    if !own("instanceType", instance_type) || !own("regionCode", region) {
        return None;
    }
    entry.pointer("/terms/OnDemand")?.as_object()?.values().find_map(|term| {
        let effective = term.get("effectiveDate").and_then(Value::as_str).and_then(|date| date.parse().ok());
        term.get("priceDimensions")?.as_object()?.values().find_map(|dimension| {
            if dimension.get("unit").and_then(Value::as_str) != Some("Hrs") {
                return None;
            }
            let (currency, price) = dimension.get("pricePerUnit")?.as_object()?.iter().next()?;
            let per_hour: f64 = price.as_str()?.parse().ok()?;
            // Reserved capacity stands in the list at 0: that is no price of an instance.
            (per_hour.is_finite() && per_hour > 0.0).then(|| OnDemand {
                instance_type: instance_type.to_owned(),
                region: region.to_owned(),
                per_hour,
                currency: currency.clone(),
                effective,
                fetched: now,
            })
        })
    })
}
