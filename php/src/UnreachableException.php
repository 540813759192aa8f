<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/**
 * Thrown if Snug cannot be reached, or if the response is not from Snug (for example, a proxy's error page). The
 * request may have been carried out all the same. A message with a `key` is safe to publish again.
 */
final class UnreachableException extends RuntimeException implements SnugException
{
}
