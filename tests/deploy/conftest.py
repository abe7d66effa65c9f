import pytest
from balanced import two_judges


@pytest.fixture
def judges():
    """Two servers that want a key."""
    with two_judges() as both:
        yield both
