// A validator for the part of JSON Schema (draft 2020-12) that the published schemas are written in.
// A keyword it does not know is an error, so that nothing in a schema goes unchecked.

import Foundation

/// Any JSON.
///
/// Not `indirect`: the leak check does not see through pointers that carry an enum's case in their
/// upper bits, and takes what they hold for lost.
public enum JSONValue: Hashable, Sendable, Decodable, ExpressibleByStringLiteral {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// Reads any JSON.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    /// Reads a text that is one JSON value and nothing else.
    public init(parsing text: String) throws {
        self = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
    }

    /// Makes a string.
    public init(stringLiteral value: String) { self = .string(value) }

    /// A member of an object; nil when there is none, or it is no object.
    public subscript(key: String) -> JSONValue? {
        get { if case .object(let members) = self { members[key] } else { nil } }
        set {
            guard case .object(var members) = self else { return }
            members[key] = newValue
            self = .object(members)
        }
    }

    /// The text of a string; nil for anything else.
    public var string: String? { if case .string(let value) = self { value } else { nil } }
    /// The value of a number; nil for anything else.
    public var number: Double? { if case .number(let value) = self { value } else { nil } }
    /// The elements of an array; nil for anything else.
    public var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
    /// The members of an object; nil for anything else.
    public var object: [String: JSONValue]? {
        if case .object(let value) = self { value } else { nil }
    }

    /// The name that the keyword `type` has for it.
    func isOfType(_ name: String) -> Bool {
        switch self {
        case .null: name == "null"
        case .bool: name == "boolean"
        case .number(let value): name == "number" || name == "integer" && value == value.rounded()
        case .string: name == "string"
        case .array: name == "array"
        case .object: name == "object"
        }
    }
}

/// A schema.
public struct JSONSchema: Sendable {
    /// The schema itself.
    public let root: JSONValue

    /// Makes a schema.
    public init(root: JSONValue) { self.root = root }

    /// Reads the schema that is published for a tool.
    ///
    /// - Parameter tool: The tool's name.
    /// - Returns: The schema in `docs`.
    /// - Throws: What reading the file throws.
    public static func published(for tool: String) throws -> JSONSchema {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../docs/\(tool).schema.json")
        return JSONSchema(root: try JSONValue(parsing: String(contentsOf: file, encoding: .utf8)))
    }

    /// What is wrong with a value, one line a fault; empty when it is valid.
    public func faults(of value: JSONValue) -> [String] { faults(of: value, by: root, at: "$") }

    private func faults(of value: JSONValue, by schema: JSONValue, at place: String) -> [String] {
        guard let keywords = schema.object else { return ["\(place): the schema is no object"] }
        return keywords.sorted { $0.key < $1.key }.flatMap { keyword, argument in
            fault(of: value, keyword, argument, in: keywords, at: place)
        }
    }

    private func fault(
        of value: JSONValue,
        _ keyword: String,
        _ argument: JSONValue,
        in schema: [String: JSONValue],
        at place: String
    ) -> [String] {
        switch keyword {
        case "$schema", "$defs", "title", "description": []
        case "type":
            (argument.array ?? [argument]).contains { value.isOfType($0.string ?? "") }
                ? [] : ["\(place): not of type \(argument)"]
        case "const": value == argument ? [] : ["\(place): not \(argument)"]
        case "enum":
            argument.array?.contains(value) == true ? [] : ["\(place): \(value) is not in the enum"]
        case "minimum": compare(value, argument, place, "too small") { $0 >= $1 }
        case "maximum": compare(value, argument, place, "too large") { $0 <= $1 }
        case "pattern": matchFaults(value, argument, place)
        case "required":
            (argument.array ?? []).compactMap(\.string)
                .filter { value.object != nil && value[$0] == nil }
                .map { "\(place): \($0) is missing" }
        case "properties":
            (value.object ?? [:]).flatMap { name, member in
                argument[name].map { faults(of: member, by: $0, at: "\(place).\(name)") } ?? []
            }
        case "additionalProperties":
            (value.object ?? [:]).filter { schema["properties"]?[$0.key] == nil }
                .flatMap { name, member in
                    argument.object == nil
                        ? ["\(place): \(name) is not in the schema"]
                        : faults(of: member, by: argument, at: "\(place).\(name)")
                }
        case "items":
            (value.array ?? []).enumerated().flatMap { index, item in
                faults(of: item, by: argument, at: "\(place)[\(index)]")
            }
        case "anyOf":
            (argument.array ?? []).contains { faults(of: value, by: $0, at: place).isEmpty }
                ? [] : anyOfFaults(value, argument, place)
        case "$ref":
            definition(argument).map { faults(of: value, by: $0, at: place) }
                ?? ["\(place): no definition \(argument)"]
        default: ["\(place): the validator does not know the keyword \(keyword)"]
        }
    }

    /// The faults by the branch that comes nearest: of the same command, and not the one that only
    /// allows null.
    private func anyOfFaults(_ value: JSONValue, _ branches: JSONValue, _ place: String) -> [String]
    {
        let each = (branches.array ?? []).map { faults(of: value, by: $0, at: place) }
        let nearest = each.first { faults in !faults.contains { $0.hasPrefix("\(place).command:") }
        }
        return ["\(place): fits no branch of anyOf"] + (nearest ?? each.first ?? [])
    }

    private func definition(_ reference: JSONValue) -> JSONValue? {
        guard let name = reference.string, name.hasPrefix("#/$defs/") else { return nil }
        return root["$defs"]?[String(name.dropFirst("#/$defs/".count))]
    }

    private func compare(
        _ value: JSONValue,
        _ limit: JSONValue,
        _ place: String,
        _ text: String,
        _ holds: (Double, Double) -> Bool
    ) -> [String] {
        guard let number = value.number, let limit = limit.number else { return [] }
        return holds(number, limit) ? [] : ["\(place): \(number) is \(text)"]
    }

    private func matchFaults(
        _ value: JSONValue,
        _ pattern: JSONValue,
        _ place: String
    ) -> [String] {
        guard let text = value.string else { return [] }
        guard let pattern = pattern.string, let regex = try? Regex(pattern) else {
            return ["\(place): the schema's pattern cannot be read"]
        }
        return text.contains(regex) ? [] : ["\(place): \(text) does not match \(pattern)"]
    }
}
