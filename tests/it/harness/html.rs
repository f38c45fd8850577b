//! As much of HTML as a test needs to press a button: forms, links, the text of a refresh.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form {
    pub action: Option<String>,
    pub method: String,
    /// Inputs and text areas with their values, in order.
    pub fields: Vec<(String, String)>,
    pub buttons: Vec<Button>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Button {
    pub name: Option<String>,
    pub value: String,
    pub label: String,
    pub formaction: Option<String>,
}

impl Form {
    /// Types `value` into a field that is there.
    pub fn fill(&mut self, name: &str, value: &str) -> &mut Self {
        let field = self.fields.iter_mut().find(|(known, _)| known == name);
        field.unwrap_or_else(|| panic!("the form has no field {name}")).1 = value.to_owned();
        self
    }

    pub fn button(&self, name: &str, value: &str) -> Option<&Button> {
        self.buttons.iter().find(|button| button.name.as_deref() == Some(name) && button.value == value)
    }
}

struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
    /// What stands between this tag and the next one.
    text: String,
}

impl Tag {
    fn attribute(&self, name: &str) -> Option<String> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }
}

pub fn forms(html: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    let mut open = false;
    for tag in tags(html) {
        let value = || tag.attribute("value").unwrap_or_default();
        match (tag.name.as_str(), open, forms.last_mut()) {
            ("form", _, _) => {
                let method = tag.attribute("method").unwrap_or_else(|| "get".into()).to_ascii_lowercase();
                forms.push(Form { action: tag.attribute("action"), method, ..Form::default() });
                open = true;
            }
            ("/form", _, _) => open = false,
            ("input", true, Some(form)) => {
                let kind = tag.attribute("type").unwrap_or_default();
                if kind == "submit" {
                    let (name, label) = (tag.attribute("name"), value());
                    form.buttons.push(Button { name, value: value(), label, formaction: tag.attribute("formaction") });
                } else if let Some(name) = tag.attribute("name") {
                    let ticked = !matches!(kind.as_str(), "checkbox" | "radio") || tag.attribute("checked").is_some();
                    if ticked {
                        form.fields.push((name, value()));
                    }
                }
            }
            ("textarea", true, Some(form)) => {
                if let Some(name) = tag.attribute("name") {
                    form.fields.push((name, tag.text.clone()));
                }
            }
            ("button", true, Some(form)) if tag.attribute("type").is_none_or(|kind| kind == "submit") => {
                let (name, label) = (tag.attribute("name"), tag.text.trim().to_owned());
                form.buttons.push(Button { name, value: value(), label, formaction: tag.attribute("formaction") });
            }
            _ => {}
        }
    }
    forms
}

/// Address and text of every link.
pub fn links(html: &str) -> Vec<(String, String)> {
    tags(html)
        .into_iter()
        .filter(|tag| tag.name == "a")
        .filter_map(|tag| Some((tag.attribute("href")?, tag.text.trim().to_owned())))
        .collect()
}

/// Where `<meta http-equiv="refresh">` leads.
pub fn meta_refresh(html: &str) -> Option<String> {
    tags(html)
        .into_iter()
        .filter(|tag| tag.name == "meta")
        .filter(|tag| tag.attribute("http-equiv").is_some_and(|value| value.eq_ignore_ascii_case("refresh")))
        .find_map(|tag| {
            let content = tag.attribute("content")?;
            let (_, url) = content.split_once(';')?;
            let url = url.trim();
            let url = url.strip_prefix("url=").or_else(|| url.strip_prefix("URL=")).unwrap_or(url);
            Some(url.trim_matches(['\'', '"']).to_owned())
        })
}

/// The tags outside of comments, scripts and styles.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start..];
        if let Some(comment) = rest.strip_prefix("<!--") {
            rest = comment.split_once("-->").map(|(_, after)| after).unwrap_or_default();
            continue;
        }
        let (mut tag, after) = tag(&rest[1..]);
        let text = after.split('<').next().unwrap_or_default();
        tag.text = unescape(text);
        rest = after;
        if tag.name == "script" || tag.name == "style" {
            let end = format!("</{}", tag.name);
            rest = rest.find(&end).map(|at| &rest[at..]).unwrap_or_default();
        }
        tags.push(tag);
    }
    tags
}

fn tag(text: &str) -> (Tag, &str) {
    let end = text.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(text.len());
    let name = text[..end].to_ascii_lowercase();
    let mut rest = &text[end..];
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            break;
        }
        if let Some(after) = rest.strip_prefix('>') {
            rest = after;
            break;
        }
        let end = rest.find(|c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>')).unwrap_or(rest.len());
        let attribute = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.trim_start();
            let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''));
            (value, rest) = match quote {
                Some(quote) => after[1..].split_once(quote).unwrap_or((&after[1..], "")),
                None => {
                    let end = after.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(after.len());
                    after.split_at(end)
                }
            };
        }
        attributes.push((attribute, unescape(value)));
    }
    (Tag { name, attributes, text: String::new() }, rest)
}

/// Character references: the five names and numbers.
pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest.split_once(';').map(|(name, _)| &name[1..]);
        let character = reference.and_then(|name| match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            number => {
                let number = number.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(digits) => u32::from_str_radix(digits, 16),
                    None => number.parse(),
                };
                char::from_u32(code.ok()?)
            }
        });
        match (character, reference) {
            (Some(character), Some(name)) => {
                plain.push(character);
                rest = &rest[name.len() + 2..];
            }
            _ => {
                plain.push('&');
                rest = &rest[1..];
            }
        }
    }
    plain.push_str(rest);
    plain
}
