//! The operators `+ - * / % ** << == != < > && || !`.

use tree_sitter::Node;

use super::{Reader, value::Value};

/// Longest text that a repetition such as `'x' * 1000` may make.
const MAX_TEXT: usize = 1 << 20;

impl Reader<'_> {
    pub(super) fn unary(&mut self, node: Node<'_>) -> Value {
        let operator = node.child_by_field_name("operator");
        let operator = operator.map_or("", |it| self.text(it)).to_owned();
        let Some(operand) = node.child_by_field_name("operand") else {
            return self.unknown(node);
        };
        match (operator.as_str(), self.value(operand)) {
            (_, Value::Unknown(why)) => Value::Unknown(why),
            ("-", Value::Int(it)) => whole(it.checked_neg()),
            ("-", Value::Float(it)) => Value::Float(-it),
            ("+", value @ (Value::Int(_) | Value::Float(_))) => value,
            ("!" | "not", value) => Value::Bool(value.truth() == Some(false)),
            _ => self.unknown(node),
        }
    }

    pub(super) fn binary(&mut self, node: Node<'_>) -> Value {
        let field = |name| node.child_by_field_name(name);
        let operator = field("operator").map_or("", |it| self.text(it)).to_owned();
        let (Some(left), Some(right)) = (field("left"), field("right")) else {
            return self.unknown(node);
        };
        let left = self.value(left);
        match (operator.as_str(), left.truth()) {
            ("||" | "or", Some(false)) | ("&&" | "and", Some(true)) => self.value(right),
            // The left side decides, or is unknown.
            ("||" | "or" | "&&" | "and", _) => left,
            _ => {
                let right = self.value(right);
                operate(&operator, left, right).unwrap_or_else(|| self.unknown(node))
            }
        }
    }
}

/// The result of an operator; `None` if these operands do not have the operator.
pub(super) fn operate(operator: &str, left: Value, right: Value) -> Option<Value> {
    let (left, right) = match (left, right) {
        (Value::Unknown(why), _) | (_, Value::Unknown(why)) => return Some(Value::Unknown(why)),
        both => both,
    };
    Some(match operator {
        "==" => Value::Bool(equal(&left, &right)),
        "!=" => Value::Bool(!equal(&left, &right)),
        "+" => plus(left, right)?,
        "<<" => match (left, right) {
            (Value::Text(left), Value::Text(right)) => Value::Text(left + &right),
            (Value::List(mut list), item) => {
                list.push(item);
                Value::List(list)
            }
            _ => return None,
        },
        "*" => match (left, right) {
            (Value::Text(text), Value::Int(times)) => {
                let times = usize::try_from(times).ok()?;
                if text.len().saturating_mul(times) > MAX_TEXT {
                    return Some(Value::Unknown("it is too large to be a setting".to_owned()));
                }
                Value::Text(text.repeat(times))
            }
            (left, right) => number(operator, &left, &right)?,
        },
        "<" | ">" | "<=" | ">=" => compare(operator, &left, &right)?,
        _ => number(operator, &left, &right)?,
    })
}

fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(_) | Value::Float(_), Value::Int(_) | Value::Float(_)) => {
            compare("<=", left, right) == Some(Value::Bool(true))
                && compare(">=", left, right) == Some(Value::Bool(true))
        }
        // A pair's line is no part of its value, so the derived `==` would compare too much.
        (Value::Hash(_), Value::Hash(_)) => left.json() == right.json(),
        _ => left == right,
    }
}

fn plus(left: Value, right: Value) -> Option<Value> {
    Some(match (left, right) {
        (Value::Text(left), Value::Text(right)) => Value::Text(left + &right),
        (Value::List(mut left), Value::List(right)) => {
            left.extend(right);
            Value::List(left)
        }
        (left, right) => number("+", &left, &right)?,
    })
}

fn compare(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    let order = match (left, right) {
        (Value::Text(left), Value::Text(right)) => left.cmp(right),
        (Value::Int(left), Value::Int(right)) => left.cmp(right),
        (left, right) => float(left)?.partial_cmp(&float(right)?)?,
    };
    Some(Value::Bool(match operator {
        "<" => order.is_lt(),
        ">" => order.is_gt(),
        "<=" => order.is_le(),
        _ => order.is_ge(),
    }))
}

fn number(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    if let (Value::Int(left), Value::Int(right)) = (left, right) {
        return Some(whole(match operator {
            "+" => left.checked_add(*right),
            "-" => left.checked_sub(*right),
            "*" => left.checked_mul(*right),
            // Ruby rounds down, also below zero.
            "/" => left.checked_div_euclid(*right).filter(|_| *right > 0),
            "%" => left.checked_rem_euclid(*right).filter(|_| *right > 0),
            "**" => u32::try_from(*right)
                .ok()
                .and_then(|it| left.checked_pow(it)),
            _ => return None,
        }));
    }
    let (left, right) = (float(left)?, float(right)?);
    Some(Value::Float(match operator {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" => left / right,
        _ => return None,
    }))
}

fn whole(number: Option<i64>) -> Value {
    number.map_or_else(
        || Value::Unknown("the number cannot be worked out".to_owned()),
        Value::Int,
    )
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Ruby loses it too when it mixes the two kinds of numbers"
)]
fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(it) => Some(*it as f64),
        Value::Float(it) => Some(*it),
        _ => None,
    }
}
