<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/** What claims to come from Snug does not, or comes too late: answer 401, and do nothing. */
final class BadSignature extends RuntimeException implements SnugException
{
}
