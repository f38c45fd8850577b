//! What no schema knows: that the manifests agree with each other and with the configuration in them, and that nobody
//! gets around the gateway.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::kubernetes::{SETS, configuration, documents, files, resources};
use crate::harness::peer_process::project;

const SIDECAR: &str = SETS[0];
const GATEWAY: &str = SETS[1];
const IMAGE: &str = concat!("registry.example.com/vestibule:", env!("CARGO_PKG_VERSION"));

fn of_kind<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources.iter().filter(|resource| resource["kind"] == kind).collect()
}

fn named<'a>(resources: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = of_kind(resources, kind).into_iter().find(|resource| resource["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn list(value: &Value) -> Vec<&Value> {
    value.as_array().map(|items| items.iter().collect()).unwrap_or_default()
}

fn pod(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["spec"]
}

fn containers(deployment: &Value) -> Vec<&Value> {
    let pod = pod(deployment);
    list(&pod["initContainers"]).into_iter().chain(list(&pod["containers"])).collect()
}

/// The deployment with the gateway in it, and the gateway's container.
fn gateway(resources: &[Value]) -> (&Value, &Value) {
    let found = of_kind(resources, "Deployment").into_iter().find_map(|deployment| {
        let container = containers(deployment).into_iter().find(|container| container["name"] == "vestibule")?;
        Some((deployment, container))
    });
    found.expect("a gateway")
}

fn selects(selector: &Value, deployment: &Value) -> bool {
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    selector.as_object().is_some_and(|wanted| wanted.iter().all(|(name, value)| &labels[name] == value))
}

fn container_port(container: &Value, name: &str) -> u64 {
    let port = list(&container["ports"]).into_iter().find(|port| port["name"] == name);
    port.unwrap_or_else(|| panic!("no port {name} in {container}"))["containerPort"].as_u64().unwrap()
}

async fn table(set: &str) -> toml::Table {
    toml::from_str(&configuration(set).await).unwrap()
}

fn port_of(address: &toml::Value) -> u64 {
    address.as_str().unwrap().rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn every_container_is_held_as_the_restricted_profile_wants_it_and_more() {
    for set in SETS {
        for deployment in of_kind(&resources(set).await, "Deployment") {
            let pod = pod(deployment);
            let wanted = json!({
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "seccompProfile": { "type": "RuntimeDefault" }
            });
            assert_eq!(pod["securityContext"], wanted, "{deployment}");
            assert_eq!(
                (&pod["automountServiceAccountToken"], &pod["enableServiceLinks"]),
                (&json!(false), &json!(false))
            );
            assert!(["hostNetwork", "hostPID", "hostIPC"].iter().all(|name| pod[name].is_null()));
            for container in containers(deployment) {
                let wanted = json!({
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] }
                });
                assert_eq!(container["securityContext"], wanted, "{container}");
                let resources = &container["resources"];
                assert!(resources["requests"]["memory"].is_string() && resources["limits"]["memory"].is_string());
            }
        }
    }
}

#[tokio::test]
async fn the_gateway_is_one_image_with_all_probes_and_the_ports_of_its_configuration() {
    for set in SETS {
        let (resources, configuration) = (resources(set).await, table(set).await);
        let (deployment, container) = gateway(&resources);
        assert_eq!(container["image"], IMAGE);
        let listen = &configuration["listen"];
        let ports = (container_port(container, "gateway"), container_port(container, "probes"));
        assert_eq!(ports, (port_of(&listen["address"]), port_of(&listen["probe_address"])), "{set}");
        for address in ["address", "probe_address"] {
            assert!(listen[address].as_str().unwrap().starts_with("0.0.0.0:"), "the kubelet asks from outside");
        }
        for (probe, path) in [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
            assert_eq!(container[probe]["httpGet"], json!({ "path": path, "port": "probes" }), "{set} {probe}");
        }
        let service = of_kind(&resources, "Service").into_iter().find(|s| selects(&s["spec"]["selector"], deployment));
        let ports = &service.expect("a service")["spec"]["ports"];
        assert_eq!(*ports, json!([{ "name": "http", "port": 80, "targetPort": "gateway" }]), "{set}: nothing else");
        // Until a store is shared, another pod does not know who is logged in.
        assert_eq!(deployment["spec"]["replicas"], 1);
        assert_eq!(deployment["spec"]["strategy"], json!({ "type": "Recreate" }));
        let duration = |name: &str, default: u64| {
            let text = configuration["listen"].get("limits").and_then(|limits| limits.get(name)?.as_str());
            text.map_or(default, |text| text.trim_end_matches('s').parse().unwrap())
        };
        let drained = duration("drain_delay", 5) + duration("drain_timeout", 20) + 3;
        assert!(pod(deployment)["terminationGracePeriodSeconds"].as_u64().unwrap() > drained, "{set}");
    }
}

#[tokio::test]
async fn configuration_and_secrets_are_mounted_where_they_are_looked_for() {
    for set in SETS {
        let (resources, text) = (resources(set).await, configuration(set).await);
        let (deployment, container) = gateway(&resources);
        let mount = |name: &str| {
            let mount = list(&container["volumeMounts"]).into_iter().find(|mount| mount["name"] == name).unwrap();
            assert!(mount["readOnly"] == true && mount["subPath"].is_null(), "{mount}");
            mount["mountPath"].as_str().unwrap().to_owned()
        };
        assert_eq!(mount("configuration"), "/etc/vestibule", "as the image has it");
        let secrets = mount("secrets");
        let named_in_text: BTreeSet<_> =
            text.split('"').filter_map(|part| part.strip_prefix(&secrets)?.strip_prefix('/')).collect();
        let secret = of_kind(&resources, "Secret").remove(0);
        let kept: BTreeSet<_> = secret["stringData"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(named_in_text, kept, "{set}");
        let volumes = pod(deployment)["volumes"].to_string();
        assert!(volumes.contains(r#""configMap":{"name":"vestibule"}"#), "{volumes}");
        assert!(volumes.contains(r#""secret":{"secretName":"vestibule"}"#), "{volumes}");
        assert_eq!(secret["metadata"]["name"], "vestibule");
        assert!(secret["stringData"].as_object().unwrap().values().all(|value| value == ""), "no secret here");
    }
}

/// The ports that policies let in to a deployment, from namespaces and from pods.
fn let_in(resources: &[Value], deployment: &Value) -> Vec<(Value, Value)> {
    let policies = of_kind(resources, "NetworkPolicy").into_iter().filter(|policy| {
        selects(&policy["spec"]["podSelector"]["matchLabels"], deployment)
            && list(&policy["spec"]["policyTypes"]).contains(&&json!("Ingress"))
    });
    let rules: Vec<_> = policies.map(|policy| list(&policy["spec"]["ingress"])).collect();
    assert!(!rules.is_empty(), "no policy: {deployment}");
    let pairs = rules.into_iter().flatten().flat_map(|rule| {
        assert!(!list(&rule["from"]).is_empty() && !list(&rule["ports"]).is_empty(), "open to everybody: {rule}");
        let ports: Vec<_> = list(&rule["ports"]).into_iter().map(|port| port["port"].clone()).collect();
        ports.into_iter().map(|port| (port, rule["from"].clone())).collect::<Vec<_>>()
    });
    pairs.collect()
}

#[tokio::test]
async fn beside_the_gateway_an_application_is_reached_through_it_alone() {
    let (resources, configuration) = (resources(SIDECAR).await, table(SIDECAR).await);
    let (deployment, container) = gateway(&resources);
    let sidecars = list(&pod(deployment)["initContainers"]);
    assert!(sidecars.len() == 1 && container["restartPolicy"] == "Always", "a native sidecar");
    let address = configuration["upstream"][0]["target"].as_str().unwrap().trim_start_matches("http://");
    assert!(address.starts_with("127.0.0.1:"), "in the pod and nowhere else: {address}");
    let application = list(&pod(deployment)["containers"])[0];
    assert_eq!(application["env"][0]["value"], address);
    assert!(application["ports"].is_null(), "nothing of the application is offered");
    let ports: Vec<_> = let_in(&resources, deployment).into_iter().map(|(port, _)| port).collect();
    assert_eq!(ports, [json!(8080), json!(9091)]);
    // Its probe goes through the gateway, by a path that is public and a host that the gateway knows.
    let probe = &application["readinessProbe"]["httpGet"];
    let public = configuration["upstream"][0]["public"][0].as_str().unwrap();
    assert_eq!(format!("GET {}", probe["path"].as_str().unwrap()), public);
    assert_eq!(probe["port"], port_of(&configuration["listen"]["address"]));
    let host = probe["httpHeaders"][0]["value"].as_str().unwrap();
    assert_eq!(configuration["public_url"].as_str().unwrap(), format!("https://{host}"));
}

#[tokio::test]
async fn behind_one_gateway_every_tool_is_reached_through_it_alone() {
    let (resources, configuration) = (resources(GATEWAY).await, table(GATEWAY).await);
    let (gateway, container) = gateway(&resources);
    let labels = &gateway["spec"]["template"]["metadata"]["labels"];
    let upstreams = configuration["upstream"].as_array().unwrap();
    assert_eq!(upstreams.len(), 3);
    for upstream in upstreams {
        let target = upstream["target"].as_str().unwrap().trim_start_matches("http://");
        let (name, port) = target.split_once(':').unwrap();
        let service = named(&resources, "Service", name);
        assert_eq!(service["spec"]["ports"][0]["port"].to_string(), port);
        let tool = named(&resources, "Deployment", name);
        assert!(selects(&service["spec"]["selector"], tool), "{name}");
        let port = service["spec"]["ports"][0]["targetPort"].as_str().unwrap();
        assert!(container_port(containers(tool)[0], port) > 0);
        let only_gateway = json!([{ "podSelector": { "matchLabels": labels } }]);
        assert_eq!(let_in(&resources, tool), [(json!(port), only_gateway)], "{name}");
    }
    // The gateway itself: the ingress controller and Prometheus come in, and what goes out is named.
    let ports: BTreeSet<_> = let_in(&resources, gateway).into_iter().map(|(port, _)| port.as_u64().unwrap()).collect();
    assert_eq!(ports, BTreeSet::from([container_port(container, "gateway"), container_port(container, "probes")]));
    let policy = named(&resources, "NetworkPolicy", "vestibule");
    let out: Vec<_> = list(&policy["spec"]["egress"]);
    assert!(out.iter().all(|rule| !list(&rule["to"]).is_empty() && !list(&rule["ports"]).is_empty()));
    let everywhere = out.iter().flat_map(|rule| list(&rule["to"])).filter(|to| to["ipBlock"]["cidr"] == "0.0.0.0/0");
    assert!(everywhere.clone().count() == 1 && everywhere.clone().all(|to| to.to_string().contains("169.254.0.0/16")));
}

#[tokio::test]
async fn the_ingress_knows_every_host_and_ends_tls_for_it() {
    for set in SETS {
        let (resources, configuration) = (resources(set).await, table(set).await);
        let url = configuration["public_url"].as_str().unwrap().trim_start_matches("https://").to_owned();
        let upstreams = configuration["upstream"].as_array().unwrap();
        let hosts: BTreeSet<_> =
            upstreams.iter().map(|u| u.get("host").map_or(url.clone(), |h| h.as_str().unwrap().to_owned())).collect();
        let ingress = of_kind(&resources, "Ingress").remove(0);
        let texts =
            |values: Vec<&Value>| values.iter().map(|v| v.as_str().unwrap().to_owned()).collect::<BTreeSet<_>>();
        let rules = list(&ingress["spec"]["rules"]);
        assert_eq!(texts(rules.iter().map(|rule| &rule["host"]).collect()), hosts, "{set}");
        assert_eq!(texts(list(&ingress["spec"]["tls"][0]["hosts"])), hosts, "{set}");
        let (deployment, _) = gateway(&resources);
        for rule in rules {
            let name = rule["http"]["paths"][0]["backend"]["service"]["name"].as_str().unwrap();
            let service = named(&resources, "Service", name);
            assert!(selects(&service["spec"]["selector"], deployment), "{set}: the ingress leads around the gateway");
        }
    }
}

#[tokio::test]
async fn a_kustomization_names_every_file_but_the_secret_and_every_image() {
    for set in SETS {
        let kustomization = documents(&project().join(set).join("kustomization.yaml")).await.remove(0);
        let named: BTreeSet<_> =
            list(&kustomization["resources"]).iter().map(|n| n.as_str().unwrap().to_owned()).collect();
        let there = files(set).into_iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        let there: BTreeSet<_> = there.filter(|name| name != "secret.yaml").collect();
        assert_eq!(named, there, "{set}");
        let image =
            |image: &Value| format!("{}:{}", image["name"].as_str().unwrap(), image["newTag"].as_str().unwrap());
        let images: BTreeSet<_> = list(&kustomization["images"]).into_iter().map(image).collect();
        let resources = resources(set).await;
        let used = of_kind(&resources, "Deployment").into_iter().flat_map(containers);
        assert_eq!(images, used.map(|container| container["image"].as_str().unwrap().to_owned()).collect(), "{set}");
    }
}
