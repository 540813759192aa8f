<?php

declare(strict_types=1);

use Snug\Laravel\Tests\App\TestApplication;

return TestApplication::create((string) getenv('APP_DATA'), dirname(__DIR__));
