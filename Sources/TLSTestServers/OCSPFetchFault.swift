// What can go wrong between a client and a responder before there is a response to judge. What is wrong
// with responses themselves is the kit's catalogue, `RevocationFault`.

public import TLSTestKit

/// One way in which fetching an OCSP response fails over HTTP.
///
/// ```swift
/// @Test(arguments: OCSPFetchFault.allCases)
/// func staysUndetermined(_ fault: OCSPFetchFault) async throws {
///     try await OCSPResponder.run(for: authority) { responder in
///         responder.behaviour = fault.behaviour
///         …  // expect of the client under test what RevocationFault.Verdict.undetermined means to it
///     }
/// }
/// ```
///
/// A client learns nothing from any of them: each is ``verdict``, and none may take a client longer than
/// the time it allows itself.
public enum OCSPFetchFault: String, Sendable, Hashable, CaseIterable, CustomStringConvertible {
    /// A correct response, ten seconds late.
    case slow
    /// Nothing, and a connection that stays open.
    case silent
    /// HTTP status 500 without a response.
    case httpError
    /// HTTP status 200 with a page instead of a response, as captive portals answer.
    case webPage
    /// Half a response, then the end of the stream.
    case cut

    /// What a client must make of it.
    public var verdict: RevocationFault.Verdict { .undetermined }

    /// How a responder does it.
    public var behaviour: OCSPResponder.Behaviour {
        switch self {
        case .slow: .slow(.seconds(10))
        case .silent: .silent
        case .httpError: .httpStatus(500)
        case .webPage: .webPage
        case .cut: .cut
        }
    }

    /// The name.
    public var description: String { rawValue }

    /// What happens, in a few words.
    public var summary: String {
        switch self {
        case .slow: "a response that is ten seconds late"
        case .silent: "no answer, and the connection stays open"
        case .httpError: "HTTP status 500"
        case .webPage: "a web page instead of a response"
        case .cut: "half a response, then the end"
        }
    }
}
