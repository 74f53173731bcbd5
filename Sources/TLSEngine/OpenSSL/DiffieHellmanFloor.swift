// The smallest finite field for key exchange. Two floors hold: the policy's and that of the system's
// security level. OpenSSL checks its own where the peer's key arrives (`SSL_SECOP_TMP_DH`); only a
// policy that asks for more has a callback set beside it, which is asked about every parameter.

import COpenSSL

/// The smallest finite field that a context exchanges keys over.
struct DiffieHellmanFloor: Hashable, Sendable {
    /// The most bits OpenSSL computes with (`OPENSSL_DH_MAX_MODULUS_BITS`).
    static let sizeMax = 10_000

    /// The policy's ``TLSPolicy/minDHSize``, in bits.
    let policySize: Int
    /// The security level of the context, 0...5.
    let level: Int

    /// The level's own floor in bits.
    var levelSize: Int { SecurityLevel.finiteFieldBits(level) }
    /// The floor that counts, in bits.
    var size: Int { max(policySize, levelSize) }
    /// Whether OpenSSL's own check is not enough.
    var isOfPolicy: Bool { policySize > levelSize }

    /// Adds both floors to an error that one of them caused.
    func explain(_ error: inout TLSError) {
        let isOurs = error.reasons.contains {
            $0.library == ERR_LIB_SSL && $0.reason == SSL_R_DH_KEY_TOO_SMALL
        }
        guard error.code == .weakParameters, isOurs else { return }
        error.detail =
            "the finite field for key exchange is smaller than \(size) bits: minDHSize is "
            + "\(policySize), and this system's security level \(level) asks for \(levelSize)"
        error.hint =
            isOfPolicy
            ? "Have the peer use a larger group or elliptic curves, or lower minDHSize"
            : "Have the peer use a larger group or elliptic curves; minDHSize cannot go below the "
                + "security level"
    }
}

extension SSLContextBuilder {
    /// Sets the smallest finite field for key exchange.
    ///
    /// - Returns: What counts.
    func setDiffieHellmanFloor() throws(TLSError) -> DiffieHellmanFloor {
        let context = unsafe handle.pointer
        let floor = DiffieHellmanFloor(
            policySize: policy.minDHSize,
            level: Int(unsafe SSL_CTX_get_security_level(context))
        )
        guard floor.isOfPolicy else { return floor }
        // A server chooses the field itself; a group that is too small would fail every handshake.
        if role == .server { try setFiniteField(of: floor.policySize) }
        // The number itself is what the callback gets.
        unsafe SSL_CTX_set0_security_ex_data(
            context,
            UnsafeMutableRawPointer(bitPattern: floor.policySize)
        )
        unsafe SSL_CTX_set_security_callback(context, checkFiniteField)
        return floor
    }

    /// Has a server exchange keys over one group of RFC 7919, in place of OpenSSL's choice.
    private func setFiniteField(of size: Int) throws(TLSError) {
        unsafe cssl_ctx_set_dh_auto(handle.pointer, 0)
        // Without a group that is large enough, finite fields are not used at all.
        guard let group = finiteFields.first(where: { $0.size >= size }) else { return }
        ErrorQueue.clear()
        guard let generator = unsafe EVP_PKEY_CTX_new_from_name(nil, "DH", nil) else {
            throw ErrorQueue.error(.internalError)
        }
        defer { unsafe EVP_PKEY_CTX_free(generator) }
        var parameters: OpaquePointer?
        guard unsafe EVP_PKEY_paramgen_init(generator) == 1,
            unsafe EVP_PKEY_CTX_set_group_name(generator, group.name) == 1,
            unsafe EVP_PKEY_paramgen(generator, &parameters) == 1
        else { throw ErrorQueue.error(.internalError) }
        guard unsafe cssl_ctx_set0_tmp_dh(handle.pointer, parameters) == 1 else {
            unsafe EVP_PKEY_free(parameters)
            throw ErrorQueue.error(.internalError)
        }
    }
}

/// The groups of RFC 7919, smallest first.
private let finiteFields: [(name: String, number: CInt, size: Int)] = [
    ("ffdhe2048", NID_ffdhe2048, 2048), ("ffdhe3072", NID_ffdhe3072, 3072),
    ("ffdhe4096", NID_ffdhe4096, 4096), ("ffdhe6144", NID_ffdhe6144, 6144),
    ("ffdhe8192", NID_ffdhe8192, 8192),
]

/// OpenSSL's own `SSL_CTX_set_security_callback`, the same for every context.
private let checkByLevel = SecurityCheck()

@safe
private struct SecurityCheck: @unchecked Sendable {
    // Sendable: a function of OpenSSL's.
    typealias Function =
        @convention(c) (
            OpaquePointer?, OpaquePointer?, CInt, CInt, CInt, UnsafeMutableRawPointer?,
            UnsafeMutableRawPointer?
        ) -> CInt
    let function: Function?

    init() {
        let context = unsafe SSL_CTX_new(TLS_method())
        unsafe function = SSL_CTX_get_security_callback(context)
        unsafe SSL_CTX_free(context)
    }
}

/// `SSL_CTX_set_security_callback`: refuses finite fields below the policy's floor, and then whatever
/// the security level refuses.
@c(sockets_check_finite_field)
private func checkFiniteField(
    _ ssl: OpaquePointer?,
    _ context: OpaquePointer?,
    _ operation: CInt,
    _ bits: CInt,
    _ number: CInt,
    _ subject: UnsafeMutableRawPointer?,
    _ floor: UnsafeMutableRawPointer?
) -> CInt {
    let size = Int(bitPattern: floor)
    if operation == cssl_secop_tmp_dh(), let key = unsafe subject.map(OpaquePointer.init),
        unsafe Int(EVP_PKEY_get_bits(key)) < size
    {
        return 0
    }
    if cssl_secop_is_group(operation) == 1,
        finiteFields.contains(where: { $0.number == number && $0.size < size })
    {
        return 0
    }
    // Fail closed: without OpenSSL's check nothing is allowed.
    guard let check = unsafe checkByLevel.function else { return 0 }
    return unsafe check(ssl, context, operation, bits, number, subject, floor)
}
