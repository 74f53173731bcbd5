// Swift leaves a key out when an optional is nil. Readers of the JSON are promised every key, so
// what is not there is written as null.

/// Writes an optional as null when it is nil, instead of leaving its key out.
@propertyWrapper
public struct EncodesNull<Value: Codable>: Codable {
    /// The value.
    public var wrappedValue: Value?

    /// Wraps a value.
    public init(wrappedValue: Value?) { self.wrappedValue = wrappedValue }

    /// Reads a value or null.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        wrappedValue = container.decodeNil() ? nil : try container.decode(Value.self)
    }

    /// Writes the value or null.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let wrappedValue {
            try container.encode(wrappedValue)
        } else {
            try container.encodeNil()
        }
    }
}

extension EncodesNull: Equatable where Value: Equatable {}
extension EncodesNull: Hashable where Value: Hashable {}
extension EncodesNull: Sendable where Value: Sendable {}
