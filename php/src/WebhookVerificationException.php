<?php

declare(strict_types=1);

namespace Snug;

use RuntimeException;

/**
 * Thrown if a request was not signed by Snug, is too old, or is of the wrong type. Respond with 401 and do nothing
 * else.
 */
final class WebhookVerificationException extends RuntimeException implements SnugException
{
}
