<?php

declare(strict_types=1);

namespace Snug;

/** An HMAC algorithm for signing tokens. It must match the Worker's `JWT_HMAC_ALGORITHM`. */
enum Algorithm: string
{
    case HS256 = 'sha256';
    case HS384 = 'sha384';
    case HS512 = 'sha512';
}
