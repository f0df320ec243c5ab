//! Who stands behind an identity: what a session carries of the person or workload that it was opened for.
//!
//! A role is shared, and the name of its session is whatever the caller chose. What is here was set where the caller has no
//! hand in it: the source identity stays through every role that is assumed on, and the provider and the subject are what an
//! identity provider said.

use serde::Serialize;
use serde_json::Value;

use super::text_in;

/// Who stands behind an identity. What the record does not say is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Federation<'a> {
    /// The source identity, which whoever opened the first session set, and no later one can change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_identity: Option<&'a str>,
    /// The identity provider: the ARN or the name of one of OpenID Connect or SAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_provider: Option<&'a str>,
    /// Whom the provider named: the subject of an OpenID Connect token, or the name in a SAML assertion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_subject: Option<&'a str>,
    /// The id of the user of IAM Identity Center for whom the call was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<&'a str>,
    /// The directory that has that user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_store_arn: Option<&'a str>,
}

impl<'a> Federation<'a> {
    pub(super) fn from_identity(identity: &'a Value) -> Self {
        let context = identity.get("sessionContext");
        let web = context.and_then(|context| context.get("webIdFederationData"));
        let person = identity.get("onBehalfOf");
        let of = |object: Option<&'a Value>, key| object.and_then(|object| text_in(object, key));
        let kind = text_in(identity, "type");
        // The calls by which a session is opened name the one who asks as the user.
        let asks = matches!(kind, Some("WebIdentityUser" | "SAMLUser"));
        Self {
            source_identity: of(context, "sourceIdentity"),
            identity_provider: of(web, "federatedProvider")
                .or_else(|| text_in(identity, "identityProvider")),
            identity_subject: web
                .and_then(subject)
                .or_else(|| text_in(identity, "userName").filter(|_| asks)),
            on_behalf_of: of(person, "userId"),
            identity_store_arn: of(person, "identityStoreArn"),
        }
    }

    /// What there is, each with its name, for people to read.
    pub fn said(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        [
            ("source identity", self.source_identity),
            ("identity provider", self.identity_provider),
            ("subject", self.identity_subject),
            ("on behalf of", self.on_behalf_of),
            ("of the directory", self.identity_store_arn),
        ]
        .into_iter()
        .filter_map(|(name, said)| Some((name, said?)))
    }
}

/// The subject among the attributes that a provider sent, each of which is named `PROVIDER:ATTRIBUTE`.
fn subject(web: &Value) -> Option<&str> {
    let attributes = web.get("attributes")?.as_object()?;
    [":sub", ":user_id", ":id"].iter().find_map(|suffix| {
        let (name, _) = attributes.iter().find(|(name, _)| name.ends_with(suffix))?;
        text_in(web.get("attributes")?, name)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::with;
    use super::Federation;
    use serde_json::json;

    #[test]
    fn who_stands_behind_an_identity_is_told() {
        let provider =
            "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com";
        let subject = "repo:acme/app:ref:refs/heads/main";
        let none = Federation::default();
        for (identity, want) in [
            (json!({"type": "IAMUser", "userName": "eve"}), none),
            (
                json!({"type": "AssumedRole", "sessionContext": {"sourceIdentity": "eve@example.com"}}),
                Federation {
                    source_identity: Some("eve@example.com"),
                    ..none
                },
            ),
            (
                json!({"type": "AssumedRole", "sessionContext": {"webIdFederationData": {
                    "federatedProvider": provider,
                    "attributes": {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com", "token.actions.githubusercontent.com:sub": subject},
                }}}),
                Federation {
                    identity_provider: Some(provider),
                    identity_subject: Some(subject),
                    ..none
                },
            ),
            (
                json!({"type": "AssumedRole", "sessionContext": {"webIdFederationData": {"federatedProvider": "graph.facebook.com", "attributes": {"graph.facebook.com:app_id": "1", "graph.facebook.com:id": "2"}}}}),
                Federation {
                    identity_provider: Some("graph.facebook.com"),
                    identity_subject: Some("2"),
                    ..none
                },
            ),
            (
                json!({"type": "WebIdentityUser", "principalId": format!("{provider}:sts.amazonaws.com:{subject}"), "userName": subject, "identityProvider": provider}),
                Federation {
                    identity_provider: Some(provider),
                    identity_subject: Some(subject),
                    ..none
                },
            ),
            (
                json!({"type": "SAMLUser", "principalId": "x:eve", "userName": "eve", "identityProvider": "x"}),
                Federation {
                    identity_provider: Some("x"),
                    identity_subject: Some("eve"),
                    ..none
                },
            ),
            (
                json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "94482488-3041-7026", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-9067642ac7"}}),
                Federation {
                    on_behalf_of: Some("94482488-3041-7026"),
                    identity_store_arn: Some(
                        "arn:aws:identitystore::111122223333:identitystore/d-9067642ac7",
                    ),
                    ..none
                },
            ),
            (
                json!({"type": "AssumedRole", "onBehalfOf": "x", "sessionContext": {"sourceIdentity": "***", "webIdFederationData": {"attributes": {"x:sub": 5}}}}),
                none,
            ),
        ] {
            with(&json!({"userIdentity": identity}), |facts| {
                assert_eq!(facts.actor.federation, want, "{identity}");
            });
        }
    }
}
