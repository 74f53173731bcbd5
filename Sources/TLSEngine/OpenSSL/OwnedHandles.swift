// Owners of OpenSSL objects. Every `SSL`, `SSL_CTX`, `X509` and `EVP_PKEY` arrives in Swift as the
// same `OpaquePointer`; it goes into one of these at once, so types tell them apart and each is
// freed exactly once. Objects that OpenSSL counts references of and never changes after they are
// built are classes; a connection has one owner and is noncopyable.

import COpenSSL

/// An X.509 certificate; immutable once read.
@safe
final class X509Handle: @unchecked Sendable {
    // Sendable: OpenSSL's reading functions lock what they cache.
    let pointer: OpaquePointer

    /// Takes over one reference.
    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    /// Takes a reference of its own.
    init(sharing pointer: OpaquePointer) {
        unsafe X509_up_ref(pointer)
        unsafe self.pointer = pointer
    }

    deinit { unsafe X509_free(pointer) }
}

/// A private key; immutable.
///
/// OpenSSL wipes it when the last reference goes.
@safe
final class PrivateKeyHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit { unsafe EVP_PKEY_free(pointer) }
}

/// A configuration shared by connections; not changed once connections are made from it.
@safe
final class SSLContextHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit { unsafe SSL_CTX_free(pointer) }
}

/// A store of trust anchors; filled once.
@safe
final class X509StoreHandle: @unchecked Sendable {
    let pointer: OpaquePointer

    init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit { unsafe X509_STORE_free(pointer) }
}

/// A memory BIO over bytes that outlive it.
@safe
struct MemoryBIO: ~Copyable {
    let pointer: OpaquePointer

    /// Opens bytes for reading; nil when out of memory.
    init?(reading bytes: UnsafeRawBufferPointer) {
        guard let length = Int32(exactly: bytes.count),
            let bio = unsafe BIO_new_mem_buf(bytes.baseAddress, length)
        else { return nil }
        unsafe pointer = bio
    }

    /// Opens an empty BIO for writing; nil when out of memory.
    init?() {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        unsafe pointer = bio
    }

    /// What was written so far, as text.
    var text: String {
        var start: UnsafeMutablePointer<CChar>?
        let count = unsafe cssl_bio_get_mem_data(pointer, &start)
        guard let start = unsafe start, count > 0 else { return "" }
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
        return unsafe String(decoding: bytes, as: UTF8.self)
    }

    deinit { unsafe BIO_free(pointer) }
}
